// A TLS server under bytes that are no TLS, and under a real client's whose bytes are changed on
// their way. Whatever comes: what a client reads is what was written, or nothing, and nothing is
// left behind when it is gone.
#include "proxy/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/socket.h"
#include "proxy/server.h"
#include "support/certificates.h"
#include "support/fuzz.h"

namespace penstock::proxy {
namespace {

using testing_support::FuzzInput;

// A client whose bytes are handed out rather than sent.
class Client {
 public:
  Client() : context_(::SSL_CTX_new(::TLS_client_method())), ssl_(::SSL_new(context_.get())) {
    ::SSL_set_bio(ssl_.get(), ::BIO_new(::BIO_s_mem()), ::BIO_new(::BIO_s_mem()));
    ::SSL_set_connect_state(ssl_.get());
  }

  // Takes what the server sent; goes on with the handshake, then with the request.
  void Step(std::string_view received) {
    if (!received.empty()) {
      ::BIO_write(::SSL_get_rbio(ssl_.get()), received.data(), static_cast<int>(received.size()));
    }
    ::ERR_clear_error();
    constexpr std::string_view kRequest = "GET /-/healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    std::size_t n = 0;
    if (!asked_) asked_ = ::SSL_write_ex(ssl_.get(), kRequest.data(), kRequest.size(), &n) == 1;
    char bytes[4096];
    while (::SSL_read_ex(ssl_.get(), bytes, sizeof bytes, &n) == 1) text.append(bytes, n);
  }

  // What it wants to send.
  std::string Output() {
    char* bytes = nullptr;
    BIO* bio = ::SSL_get_wbio(ssl_.get());
    const long size = BIO_get_mem_data(bio, &bytes);
    std::string output(bytes, static_cast<std::size_t>(size));
    (void)BIO_reset(bio);
    return output;
  }

  std::string text;

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
  bool asked_ = false;
};

class Setting {
 public:
  Setting() { Turn(2); }
  ~Setting() { ::unlink(Path("s").c_str()); }

  // Bytes that a client sends which is none.
  void Send(std::string_view bytes, std::size_t step) {
    const base::UniqueFd socket = *base::ConnectUnix(Path("s"));
    for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
      if (::send(socket.get(), bytes.data(), std::min(step, bytes.size()), MSG_NOSIGNAL) < 0) break;
      Turn(1);
    }
  }

  // What a client reads, each `changes` of whose bytes (position, mask) is changed.
  std::string Talk(FuzzInput changes) {
    const base::UniqueFd socket = *base::ConnectUnix(Path("s"));
    Client client;
    std::size_t sent = 0;
    std::size_t next = changes.Byte();
    for (int quiet = 0; quiet < 3; ++quiet) {
      char bytes[65536];
      const auto n = ::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      client.Step({bytes, static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
      std::string output = client.Output();
      for (char& byte : output) {
        if (sent++ != next) continue;
        byte = static_cast<char>(byte ^ changes.Byte());
        next += 1 + std::size_t{changes.Byte()} * 2;
      }
      if (n > 0 || !output.empty()) quiet = -1;
      if (!output.empty() && ::send(socket.get(), output.data(), output.size(), MSG_NOSIGNAL) < 0) {
        break;
      }
      Turn(2);
    }
    return client.text;
  }

  void CheckNothingIsLeft() {
    for (int i = 0; i < 10 && server_.connections() > 0; ++i) Turn(1);
    PENSTOCK_CHECK(server_.connections() == 0);
  }

 private:
  static std::string Path(const char* name) {
    return "/tmp/penstock_fuzz_tls_" + std::to_string(::getpid()) + name;
  }

  static std::shared_ptr<const TlsContext> Load() {
    const auto made = testing_support::Authority().Issue();
    PENSTOCK_CHECK(base::WriteFileAtomic(Path("k"), made.key).ok());
    PENSTOCK_CHECK(base::WriteFileAtomic(Path("c"), made.certificate).ok());
    auto context = *TlsContext::Load({.keyfile = Path("k"), .certfile = Path("c")}, kProtocols);
    ::unlink(Path("k").c_str());
    ::unlink(Path("c").c_str());
    return context;
  }

  void Turn(int times) {
    for (int i = 0; i < times; ++i) loop_->RunOnce(Duration::zero());
  }

  std::unique_ptr<base::Loop> loop_ = *base::Loop::Create();
  route::Router router_{*loop_};
  Server server_{*loop_, *base::ListenUnix(Path("s")), router_, {.tls = Load()}};
};

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using namespace penstock::proxy;
  static Setting setting;
  const std::uint8_t manner = input.Byte();
  if (manner % 2 == 0) {
    setting.Send(input.rest(), 1 + std::size_t{manner});
  } else {
    const std::string text = setting.Talk(input);
    PENSTOCK_CHECK(text.empty() || text.starts_with("HTTP/1.1 503 "));
  }
  setting.CheckNothingIsLeft();
}
