// change_load PORT PATH CONNECTIONS RATE EXPECTED: keep-alive HTTP clients that account for every
// request, until stdin ends.
//
// RATE is requests per second over all connections, 0: as fast as replies come. EXPECTED is the
// body that each reply is to have, with \n for a line's end. At the end one line of JSON: what was
// sent, replies by status, and what is none: wrong bodies, connections that ended within a reply
// ("cut") or before it ("unanswered"), refused connects. With RATE below 1000 each request is
// listed: [begun, ended, status], in seconds of CLOCK_MONOTONIC; status 0 has no reply.
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double Now() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

struct Tally {
  long sent = 0;
  long wrong = 0;
  long cut = 0;
  long unanswered = 0;
  long refused = 0;
  std::map<int, long> statuses;
  std::vector<std::array<double, 3>> list;
  bool listed = false;

  void Note(double begun, int status) {
    if (listed) list.push_back({begun, Now(), static_cast<double>(status)});
  }
};

class Client {
 public:
  Client(int port, std::string request, const std::string& expected, Tally& tally)
      : port_(port), request_(std::move(request)), expected_(expected), tally_(tally) {
    llhttp_settings_init(&settings_);
    settings_.on_body = [](llhttp_t* parser, const char* at, std::size_t n) {
      static_cast<Client*>(parser->data)->body_.append(at, n);
      return 0;
    };
    settings_.on_message_complete = [](llhttp_t* parser) {
      static_cast<Client*>(parser->data)->OnReply();
      return 0;
    };
  }
  ~Client() { Close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int fd() const { return fd_; }
  bool busy() const { return busy_; }

  void Send() {
    if (fd_ < 0 && !Connect()) return;
    begun_ = Now();
    busy_ = true;
    any_ = false;
    ++tally_.sent;
    if (::send(fd_, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      OnEnd();
    }
  }

  void OnReadable() {
    std::array<char, 65536> buffer;
    const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n <= 0) return OnEnd();
    any_ = any_ || busy_;
    if (llhttp_execute(&parser_, buffer.data(), static_cast<std::size_t>(n)) != HPE_OK) {
      ++tally_.wrong;
      OnEnd();
    } else if (!llhttp_should_keep_alive(&parser_) && !busy_) {
      Close();
    }
  }

 private:
  bool Connect() {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ++tally_.refused;
      Close();
      return false;
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
    parser_.data = this;
    return true;
  }

  void OnReply() {
    const int status = parser_.status_code;
    ++tally_.statuses[status];
    if (status == 200 && body_ != expected_) ++tally_.wrong;
    tally_.Note(begun_, status);
    body_.clear();
    busy_ = false;
  }

  void OnEnd() {
    if (busy_) {
      ++(any_ ? tally_.cut : tally_.unanswered);
      tally_.Note(begun_, 0);
    }
    Close();
  }

  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    busy_ = false;
    body_.clear();
  }

  const int port_;
  const std::string request_;
  const std::string& expected_;
  Tally& tally_;
  llhttp_settings_t settings_;
  llhttp_t parser_;
  int fd_ = -1;
  bool busy_ = false;
  bool any_ = false;  // of the reply has come
  double begun_ = 0;
  std::string body_;
};

void Print(const Tally& tally, double seconds) {
  std::printf(
      "{\"seconds\": %.3f, \"sent\": %ld, \"wrong\": %ld, \"cut\": %ld, "
      "\"unanswered\": %ld, \"refused\": %ld, \"statuses\": {",
      seconds, tally.sent, tally.wrong, tally.cut, tally.unanswered, tally.refused);
  const char* comma = "";
  for (const auto& [status, count] : tally.statuses) {
    std::printf("%s\"%d\": %ld", comma, status, count);
    comma = ", ";
  }
  std::printf("}, \"list\": [");
  comma = "";
  for (const auto& [begun, ended, status] : tally.list) {
    std::printf("%s[%.6f, %.6f, %d]", comma, begun, ended, static_cast<int>(status));
    comma = ", ";
  }
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: change_load PORT PATH CONNECTIONS RATE EXPECTED\n");
    return 2;
  }
  const double rate = std::atof(argv[4]);
  std::string expected;
  for (const char* c = argv[5]; *c != '\0'; ++c) {
    const bool line = c[0] == '\\' && c[1] == 'n';
    expected += line ? '\n' : *c;
    if (line) ++c;
  }
  Tally tally;
  tally.listed = rate > 0 && rate < 1000;
  const std::string request = std::string("GET ") + argv[2] + " HTTP/1.1\r\nHost: bench\r\n\r\n";
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < std::atoi(argv[3]); ++i) {
    clients.push_back(std::make_unique<Client>(std::atoi(argv[1]), request, expected, tally));
  }
  const double begun = Now();
  double last = 0;  // when to give up on what is under way; 0 while more is asked
  long due = 0;     // requests that were to be sent so far
  std::size_t next = 0;
  std::vector<pollfd> polled;
  for (;;) {
    bool busy = false;
    const double now = Now();
    if (last == 0) {
      due = rate > 0 ? static_cast<long>((now - begun) * rate) : tally.sent + 1'000'000;
      for (std::size_t tried = 0; tried < clients.size() && tally.sent < due; ++tried) {
        Client& client = *clients[next++ % clients.size()];
        if (!client.busy()) client.Send();
      }
    }
    polled.clear();
    polled.push_back({.fd = last == 0 ? 0 : -1, .events = POLLIN, .revents = 0});
    for (const auto& client : clients) {
      busy = busy || client->busy();
      polled.push_back({.fd = client->fd(), .events = POLLIN, .revents = 0});
    }
    if (last != 0 && (!busy || now > last)) break;
    ::poll(polled.data(), polled.size(), 1);
    char unused = 0;
    if (polled[0].revents != 0 && ::read(0, &unused, 1) <= 0) last = Now() + 30;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (polled[i + 1].revents != 0) clients[i]->OnReadable();
    }
  }
  Print(tally, Now() - begun);
}
