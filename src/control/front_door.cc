#include "control/front_door.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "config/grpc_options.h"
#include "config/http_options.h"
#include "penstock/check.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kHttpSetting = "setting/http";
constexpr const char* kGrpcSetting = "setting/grpc";

// What is wrong with the options, if anything.
Status Check(const DoorOptions& options) {
  const auto http = config::ParseHttpOptions(options.http);
  if (!http.ok()) return http.status();
  const auto grpc = config::ParseGrpcOptions(options.grpc);
  if (!grpc.ok()) return grpc.status();
  if (grpc->enabled() && grpc->directory.empty()) {
    return InvalidArgument("grpc_options.directory: the functions' methods have to be listed");
  }
  return {};
}

// A setting's value; an empty object when it is not there.
Json Remembered(const std::map<std::string, std::string>& values, const char* key) {
  const auto found = values.find(key);
  if (found == values.end()) return Json::object();
  return Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
}

// True when options were given that the door does not have.
bool Ignored(const Json& wanted, const Json& has) { return wanted != has && !wanted.empty(); }

}  // namespace

FrontDoor::FrontDoor(engine::Engine& engine, std::function<void(const Write&)> save)
    : engine_(engine), save_(std::move(save)) {}

Status FrontDoor::Restore(const std::map<std::string, std::string>& values) {
  if (values.count(kHttpSetting) == 0) return {};
  const DoorOptions options{.http = Remembered(values, kHttpSetting),
                            .grpc = Remembered(values, kGrpcSetting)};
  if (const Status bad = Check(options); !bad.ok()) {
    return Internal(std::string("state database, keys '") + kHttpSetting + "' and '" +
                    kGrpcSetting + "': " + bad.message());
  }
  options_ = options;
  return {};
}

void FrontDoor::Open(const DoorOptions& options, OnOpened done) {
  if (Status bad = Check(options); !bad.ok()) return done(bad);
  const auto parsed = config::ParseHttpOptions(options.http);
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
  const auto http = config::ParseHttpOptions(options_->http);
  const auto grpc = config::ParseGrpcOptions(options_->grpc);
  PENSTOCK_CHECK(http.ok() && grpc.ok());
  phase_ = Phase::kOpening;
  engine_.StartProxy(*head_,
                     {.host = http->host,
                      .port = http->port,
                      .options = options_->http,
                      .grpc_port = grpc->enabled() ? grpc->port : 0,
                      .grpc_options = options_->grpc},
                     [this](const Result<std::string>& address) { OnAnswer(address); });
}

void FrontDoor::OnAnswer(const Result<std::string>& address) {
  if (phase_ != Phase::kOpening && phase_ != Phase::kOpen) return;  // the node was faster to go
  const DoorOptions options = options_.value_or(DoorOptions());
  if (address.ok()) {
    if (phase_ == Phase::kOpening) {
      save_({kHttpSetting, options.http.dump()});
      save_({kGrpcSetting, options.grpc.dump()});
    }
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
      waiter.done(Opened{*address, Ignored(waiter.options.http, options.http) ||
                                       Ignored(waiter.options.grpc, options.grpc)});
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
  save_({kGrpcSetting, std::nullopt});
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

void FrontDoor::OnFound(const DoorOptions& options) {
  if (!options_ && Check(options).ok()) options_ = options;
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
