// The real proxy on a loop, in front of a scripted replica.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/socket.h"
#include "proxy/server.h"
#include "replica/runtime.h"
#include "route/router.h"
#include "support/http_client.h"
#include "support/loop_fixture.h"
#include "support/scripted_code.h"

namespace penstock::testing_support {

class ProxyTest : public LoopTest {
 protected:
  ProxyTest() : runtime_(*loop_, code_) {
    runtime_.SetMaxOngoing(100);
    EXPECT_TRUE(runtime_.Listen(Path("r")).ok());
  }

  void Serve(proxy::ServerOptions options = {}, int max_queued = -1, int max_ongoing = 100) {
    route::RouteUpdate update{.epoch = 1, .http = {{}}};
    update.http->push_back({"/", {"root", "Root"}});
    update.http->push_back({"/conv", {"conv", "Conv"}});
    update.http->push_back({"/conv/deep", {"deep", "Deep"}});
    update.http->push_back({"/dead", {"dead", "Dead"}});
    route::SortRoutes(*update.http);
    for (const auto& route : *update.http) {
      update.deployments.push_back({.id = route.ingress,
                                    .available = route.prefix != "/dead",
                                    .max_ongoing_requests = max_ongoing,
                                    .max_queued_requests = max_queued,
                                    .replicas = {{.id = "r", .socket = Path("r"), .node = "n"}}});
    }
    router_.Apply(update);
    Start(std::move(options));
  }

  void Start(proxy::ServerOptions options) {
    auto listener = *base::ListenTcp("127.0.0.1", 0);
    if (send_buffer_ > 0) {  // accepted sockets have the listener's
      EXPECT_EQ(
          ::setsockopt(listener.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer_, sizeof send_buffer_),
          0);
    }
    port_ = base::LocalPort(listener);
    server_ =
        std::make_unique<proxy::Server>(*loop_, std::move(listener), router_, std::move(options));
  }

  std::unique_ptr<HttpClient> Connect() { return std::make_unique<HttpClient>(port_); }

  // Turns until the client has read a text that contains `part`.
  void UntilText(HttpClient& client, const std::string& part) {
    Until([&] {
      while (client.Read()) {
      }
      return client.text.find(part) != std::string::npos;
    });
  }

  void UntilClosed(HttpClient& client) {
    Until([&] {
      while (client.Read()) {
      }
      return client.closed;
    });
  }

  // The reply to one request on a connection of its own; the replica answers at once.
  std::string Fetch(const std::string& request) {
    const auto client = Connect();
    client->Send(request);
    UntilText(*client, "\r\n\r\n");
    Settle();
    while (client->Read()) {
    }
    return client->text;
  }

  std::string Get(const std::string& path) {
    return Fetch("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
  }

  ScriptedCode code_;
  replica::Runtime runtime_;
  route::Router router_{*loop_};
  std::unique_ptr<proxy::Server> server_;
  int port_ = 0;
  int send_buffer_ = 0;  // bytes, of the proxy's sockets; 0: the kernel's choice
};

}  // namespace penstock::testing_support
