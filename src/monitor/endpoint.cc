#include "monitor/endpoint.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/socket.h"
#include "proxy/builtin.h"
#include "proxy/http_parser.h"

namespace penstock::monitor {
namespace {

// A client that does not ask, or does not read, is not waited for longer.
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr std::size_t kMostVisits = 64;

std::string Reply(const char* status, const char* type, std::string_view body, bool head_only) {
  std::string text = std::string("HTTP/1.1 ") + status + "\r\ncontent-type: " + type +
                     "\r\ncontent-length: " + std::to_string(body.size()) +
                     "\r\nconnection: close\r\n\r\n";
  if (!head_only) text += body;
  return text;
}

constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr const char* kMetrics = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

// One client.
class Endpoint::Visit final : public base::FdHandler,
                              public proxy::HttpParser::Sink,
                              public std::enable_shared_from_this<Visit> {
 public:
  Visit(Endpoint& endpoint, base::UniqueFd socket)
      : endpoint_(endpoint), socket_(std::move(socket)), parser_(*this) {
    endpoint_.loop_.Watch(socket_.get(), EPOLLIN, *this);
    timer_ = endpoint_.loop_.After(kPatience, [this] {
      timer_ = 0;
      Close();
    });
  }
  ~Visit() override { Close(); }

  void Close() {
    if (!socket_) return;
    if (timer_ != 0) endpoint_.loop_.Cancel(timer_);
    endpoint_.loop_.Unwatch(socket_.get(), *this);
    socket_.Reset();
    endpoint_.Drop(*this);
  }

 private:
  void OnEvents(std::uint32_t events) override {
    if ((events & EPOLLOUT) != 0) return Send();
    std::array<char, 4096> bytes;
    const auto n = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return Close();
    if (asked_) return;  // one request a connection: the rest is thrown away
    const auto outcome = parser_.Feed({bytes.data(), static_cast<std::size_t>(n)});
    if (outcome.error_status != 0) Answer(Reply("400 Bad Request", kPlain, outcome.error, false));
  }

  void OnHead(const proxy::HttpHead& head) override {
    method_ = head.method;
    path_ = proxy::DecodedPath(head.target);
  }
  void OnBodyPiece(std::string_view) override {}

  void OnEnd() override {
    const bool head_only = method_ == "HEAD";
    if (path_ != "/metrics" && path_ != "/") {
      return Answer(Reply("404 Not Found", kPlain, "There is only /metrics here.\n", head_only));
    }
    if (method_ != "GET" && !head_only) {
      return Answer(Reply("405 Method Not Allowed", kPlain, "GET /metrics\n", false));
    }
    asked_ = true;
    endpoint_.page_([weak = weak_from_this(), head_only](const std::string& page) {
      if (const auto visit = weak.lock()) {
        visit->Answer(Reply("200 OK", kMetrics, page, head_only));
      }
    });
  }

  void Answer(std::string reply) {
    if (!socket_) return;
    asked_ = true;
    out_ = std::move(reply);
    Send();
  }

  void Send() {
    while (sent_ < out_.size()) {
      const auto n = ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) {
        return endpoint_.loop_.Rewatch(socket_.get(), EPOLLIN | EPOLLOUT, *this);
      }
      if (n <= 0) break;
      sent_ += static_cast<std::size_t>(n);
    }
    Close();
  }

  Endpoint& endpoint_;
  base::UniqueFd socket_;
  proxy::HttpParser parser_;
  base::Loop::TimerId timer_ = 0;
  std::string method_;
  std::string path_;
  std::string out_;
  std::size_t sent_ = 0;
  bool asked_ = false;
};

Endpoint::Endpoint(base::Loop& loop, base::UniqueFd listener, Page page)
    : loop_(loop), listener_(std::move(listener)), page_(std::move(page)) {
  loop_.Watch(listener_.get(), EPOLLIN, *this);
}

Endpoint::~Endpoint() {
  loop_.Unwatch(listener_.get(), *this);
  while (!visits_.empty()) visits_.begin()->second->Close();
}

void Endpoint::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) {
    if (visits_.size() >= kMostVisits) continue;  // closed at once
    auto visit = std::make_shared<Visit>(*this, std::move(socket));
    visits_.emplace(visit.get(), visit);
  }
}

void Endpoint::Drop(const Visit& visit) {
  auto dropped = visits_.extract(&visit);
  if (!dropped.empty()) loop_.Dispose(std::move(dropped.mapped()));
}

}  // namespace penstock::monitor
