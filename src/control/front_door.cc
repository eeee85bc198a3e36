#include "control/front_door.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "config/http_options.h"
#include "penstock/check.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kHttpSetting = "setting/http";

}  // namespace

FrontDoor::FrontDoor(engine::Engine& engine, std::function<void(const Write&)> save)
    : engine_(engine), save_(std::move(save)) {}

Status FrontDoor::Restore(const std::map<std::string, std::string>& values) {
  const auto found = values.find(kHttpSetting);
  if (found == values.end()) return {};
  const Json options = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  const auto parsed = config::ParseHttpOptions(options);
  if (!parsed.ok()) {
    return Internal(std::string("state database, key '") + kHttpSetting +
                    "': " + parsed.status().message());
  }
  options_ = options;
  return {};
}

void FrontDoor::Open(const Json& options, OnOpened done) {
  const auto parsed = config::ParseHttpOptions(options);
  if (!parsed.ok()) return done(parsed.status());
  const bool closing = phase_ == Phase::kClosing || !closing_.empty();
  if (!parsed->enabled && !options_ && !closing) return done(Opened{});
  opening_.push_back({options, std::move(done)});
  if (closing) return;  // when it is closed
  if (phase_ == Phase::kOpen) return OnAnswer(address_);
  if (!options_) options_ = options;
  Order();
}

void FrontDoor::Order() {
  if (!options_ || phase_ != Phase::kClosed || !head_) return;  // the head is on its way
  const auto options = config::ParseHttpOptions(*options_);
  PENSTOCK_CHECK(options.ok());
  phase_ = Phase::kOpening;
  engine_.StartProxy(*head_, {.host = options->host, .port = options->port, .options = *options_},
                     [this](const Result<std::string>& address) { OnAnswer(address); });
}

void FrontDoor::OnAnswer(const Result<std::string>& address) {
  if (phase_ != Phase::kOpening && phase_ != Phase::kOpen) return;  // the node was faster to go
  const Json options = options_.value_or(Json::object());
  if (address.ok()) {
    if (phase_ == Phase::kOpening) save_({kHttpSetting, options.dump()});
    phase_ = Phase::kOpen;
    address_ = *address;
  } else {
    base::LogError("proxy_failed", {{"why", address.status().message()}});
    phase_ = Phase::kClosed;
    options_.reset();
  }
  for (Waiter& waiter : std::exchange(opening_, {})) {
    const bool same = waiter.options == options;
    if (address.ok()) {
      waiter.done(Opened{*address, !same && !waiter.options.empty()});
    } else if (same) {
      waiter.done(address.status());
    } else {
      Open(waiter.options, std::move(waiter.done));  // what failed was another's wish
    }
  }
  if (!closing_.empty()) Shut();
}

void FrontDoor::Close(std::function<void()> done) {
  closing_.push_back(std::move(done));
  if (phase_ == Phase::kClosed || phase_ == Phase::kOpen) Shut();
}

// Asks the node also when it is not known to have a proxy: a controller before this one may have
// started it.
void FrontDoor::Shut() {
  options_.reset();
  save_({kHttpSetting, std::nullopt});
  phase_ = Phase::kClosing;
  if (!head_) return OnClosed();
  engine_.StopProxy(*head_, [this](const Status&) { OnClosed(); });
}

void FrontDoor::OnClosed() {
  if (phase_ != Phase::kClosing) return;
  phase_ = Phase::kClosed;
  address_.clear();
  auto waiting = std::exchange(opening_, {});
  for (const auto& done : std::exchange(closing_, {})) done();
  for (Waiter& waiter : waiting) Open(waiter.options, std::move(waiter.done));
}

void FrontDoor::OnHeadUp(const NodeId& head) {
  head_ = head;
  Order();
}

// What listened there is gone with it.
void FrontDoor::OnNodeDown(const NodeId& node) {
  if (head_ != node) return;
  head_.reset();
  address_.clear();
  if (phase_ == Phase::kClosing) return OnClosed();
  phase_ = Phase::kClosed;
  if (!closing_.empty()) Shut();
}

void FrontDoor::OnProxyUp(RouterId router, const NodeId& node) { connected_[router] = node; }

void FrontDoor::OnRouterGone(RouterId router) { connected_.erase(router); }

bool FrontDoor::Connected() const {
  return std::any_of(connected_.begin(), connected_.end(),
                     [&](const auto& proxy) { return proxy.second == head_; });
}

bool FrontDoor::Awaited() const { return options_ && head_ && !Connected(); }

std::map<NodeId, ProxyInfo> FrontDoor::proxies() const {
  if (phase_ != Phase::kOpen || !head_) return {};
  return {{*head_, {.address = address_, .healthy = Connected()}}};
}

}  // namespace penstock::control
