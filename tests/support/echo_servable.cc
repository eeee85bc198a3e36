// A C++ deployment for tests: says what it was asked, and does as it is told.
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "penstock/servable.h"

namespace {

class Echo final : public penstock::Servable {
 public:
  Echo() {
    if (std::getenv("ECHO_BROKEN") != nullptr) throw std::runtime_error("broken on purpose");
  }

  penstock::ServedReply Answer(const penstock::ServedRequest& request) override {
    const std::string target(request.target);
    if (target.ends_with("/die")) ::_exit(7);
    if (target.ends_with("/raise")) throw std::runtime_error("asked to");
    if (target.ends_with("/pid")) return {.body = std::to_string(::getpid())};
    if (target.ends_with("/config")) return {.body = config_};
    if (target.ends_with("/refused")) return {.body = std::to_string(refused_)};
    if (const auto at = target.find("/env/"); at != std::string::npos) {
      const char* value = std::getenv(target.substr(at + 5).c_str());
      return {.body = value == nullptr ? "(unset)" : value};
    }
    if (target.ends_with("/daemon")) return {.body = std::to_string(StartDaemon())};
    return {.body = std::string(request.method) + " " + target + " " + std::string(request.body)};
  }

  void Reconfigure(const std::string& user_config) override {
    if (user_config.find("refuse") != std::string::npos) {
      ++refused_;
      ::usleep(300'000);  // time for a test to act meanwhile
      throw std::runtime_error("refused on purpose");
    }
    config_ = user_config;
  }

 private:
  // A grandchild in a session of its own, as daemons make them.
  static int StartDaemon() {
    int report[2];
    if (::pipe(report) != 0) return 0;
    if (::fork() == 0) {
      ::setsid();
      const int pid = ::fork();
      if (pid == 0) {
        while (true) ::pause();
      }
      [[maybe_unused]] const auto n = ::write(report[1], &pid, sizeof pid);
      ::_exit(0);
    }
    int pid = 0;
    [[maybe_unused]] const auto n = ::read(report[0], &pid, sizeof pid);
    return pid;
  }

  std::string config_ = "none";
  int refused_ = 0;
};

}  // namespace

PENSTOCK_SERVABLE(Echo)
