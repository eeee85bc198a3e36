#include "autoscale/slo.h"

#include <algorithm>
#include <cmath>

namespace penstock::autoscale {
namespace {

constexpr double kFirstRatio = 0.3;
constexpr double kLeastRatio = 0.01;
constexpr double kMostRatio = 30;
// Twice as many late as allowed for so long make the price e times what it was. Long, for a price
// that follows each bad hour pays for the last surge, not for the next.
constexpr double kPriceMemory_s = 8 * 3600;
constexpr double kMostRise = 0.2;             // of its logarithm, in a second
constexpr std::int64_t kPriceRest_s = 120;    // before the price moves
constexpr std::int64_t kForecastRest_s = 60;  // before a forecast is worth judging
constexpr double kLeastStay_s = 60;           // start-up time and hold
constexpr double kWaitShare = 0.5;            // of the objective: a queue that long is a backlog
const double kSurgeFade = std::pow(0.5, kForecastPeriod / 14400.0);

SizeRules Rules(const SloConfig& config) {
  return {.slots = static_cast<double>(config.max_ongoing),
          .least = config.min_replicas,
          .most = config.max_replicas};
}

}  // namespace

SloPolicy::SloPolicy(const SloConfig& config)
    : config_(config),
      startups_(config.objective.startup_s),
      shadows_(static_cast<double>(config.max_replicas) * config.max_ongoing),
      ratio_(kFirstRatio) {
  decision_.target = config.min_replicas;
  decision_.rule = "bound";
}

void SloPolicy::Configure(const SloConfig& config) {
  if (config == config_) return;
  if (config.objective.startup_s != config_.objective.startup_s) {
    startups_ = StartUps(config.objective.startup_s);
  }
  const auto capacity = [](const SloConfig& c) {
    return static_cast<double>(c.max_replicas) * c.max_ongoing;
  };
  if (capacity(config) != capacity(config_)) shadows_ = ShadowQueues(capacity(config));
  config_ = config;
}

SloDecision SloPolicy::Tick(const SloInput& input) {
  constexpr std::int64_t kMostSeconds = 600;  // a longer silence is not made up for
  if (!begun_) {
    last_ = input.now - FromSeconds(1);
    wanted_.Note(0, input.ready + input.starting);
  }
  begun_ = true;
  arrivals_ += input.arrivals;
  completed_ += input.completed;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(input.now - last_).count();
  if (seconds < 1) return decision_;
  last_ += std::chrono::seconds(seconds);
  const auto steps = std::min<std::int64_t>(seconds, kMostSeconds);
  const double share = 1 / static_cast<double>(steps);
  for (std::int64_t i = 0; i < steps; ++i) Second(input, arrivals_ * share, completed_ * share);
  arrivals_ = completed_ = 0;
  startups_.Note(static_cast<double>(rates_.seconds()), input.ready, input.starting);
  decision_ = Decide(input);
  return decision_;
}

void SloPolicy::Second(const SloInput& input, double arrivals, double completed) {
  const double usual = rates_.LongMean();
  service_.Add(input.running, completed, usual);
  const double service_s = service_.mean_s();
  rates_.Add(arrivals);
  const double stay = std::exp(-1 / service_s);
  in_service_ = in_service_ * stay + arrivals * service_s * (1 - stay);
  if (input.queued == 0) in_service_ = input.running;
  Price(arrivals, lateness_.Note(rates_, input.queued, config_.objective.waiting_objective_s));
  shadows_.Add({.arrivals = arrivals,
                .service_s = service_s,
                .objective_s = config_.objective.waiting_objective_s,
                .startup_s = startups_.mean_s()});
  if (rates_.seconds() % kForecastPeriod == 0) Forecast();
}

// What an answer in time is worth, in replica-seconds: what one costs, over the share that may be
// late, times the ratio that is learned.
double SloPolicy::price() const {
  return ratio_ * service_.mean_s() / config_.max_ongoing / (1 - config_.objective.attainment);
}

// The price is what makes the share of requests in time come out as wished: it rises with each that
// is late, and falls with each that is not.
void SloPolicy::Price(double arrivals, double late) {
  if (rates_.seconds() <= kPriceRest_s) return;
  const double may_be_late = 1 - config_.objective.attainment;
  const double usual = std::max(0.02, rates_.LongMean()) * may_be_late;
  const double step = (late - may_be_late * arrivals) / usual / kPriceMemory_s;
  ratio_ = std::clamp(ratio_ * std::exp(std::min(kMostRise, step)), kLeastRatio, kMostRatio);
}

void SloPolicy::Forecast() {
  const std::int64_t now = rates_.seconds();
  const double startup_s = startups_.mean_s();
  const int ahead = static_cast<int>(std::ceil(startup_s)) + kForecastPeriod;
  const double needed = shadows_.TakeNeed();
  const bool settled = now >= kForecastRest_s;
  const Sizes sizes = forecaster_.Step(rates_,
                                       {.now_s = now,
                                        .in_service = in_service_,
                                        .needed = needed,
                                        .service_s = service_.mean_s(),
                                        .price = price(),
                                        .ahead_s = ahead,
                                        .settled = settled},
                                       Rules(config_));
  holds_.Step({.now_s = now,
               .wanted = sizes,
               .needed = needed,
               .service_s = service_.mean_s(),
               .price = price(),
               .startup_s = startup_s,
               .slots = static_cast<double>(config_.max_ongoing),
               .settled = settled});
  forecast_ = sizes[holds_.price()];
  for (; !open_surges_.empty() && open_surges_.front().due_s <= now; open_surges_.pop_front()) {
    const OpenSurge& open = open_surges_.front();
    surges_.Learn(open.surge, rates_.Rate(30) - open.usual, kSurgeFade);
  }
  const double usual = rates_.Rate(RateHistory::kSeconds);
  if (settled) open_surges_.push_back({now + ahead, usual, CredibleRate(rates_) - usual});
}

// Slots beyond the load's own that pay for clearing what will still be queued when a replica that
// is ordered now is up. All who arrive until then are late, so m slots save price * rate * backlog
// * service / m, and cost m / slots for one start-up time: least at the root.
double SloPolicy::Backlog(const SloInput& input, double rate) const {
  const double service_s = service_.mean_s();
  const double startup_s = startups_.mean_s();
  const double slots = config_.max_ongoing;
  const double objective_s = config_.objective.waiting_objective_s;
  const double capacity = std::max(1.0, input.ready * slots);
  if (input.queued * service_s <= kWaitShare * objective_s * capacity) return 0;
  const double now_s = static_cast<double>(rates_.seconds());
  const double served = (input.ready * startup_s + startups_.Credit(now_s)) * slots / service_s;
  const double left = input.queued + rate * startup_s - served;
  if (left <= 0) return 0;
  return std::min(left, std::sqrt(price() * rate * left * service_s * slots / startup_s));
}

SloDecision SloPolicy::Decide(const SloInput& input) {
  const double usual = rates_.Rate(RateHistory::kSeconds);
  double rate = CredibleRate(rates_);
  if (rate > usual) rate = usual + surges_.Share(usual) * (rate - usual);
  const double load = rate * service_.mean_s();
  const double backlog = Backlog(input, rate);
  const auto replicas = [&](double slots) {
    const double wanted = std::ceil(slots / config_.max_ongoing - 1e-9);
    return static_cast<int>(std::clamp<double>(wanted, config_.min_replicas, config_.max_replicas));
  };
  SloDecision decision{.forecast = forecast_, .price = price()};
  int wanted = std::clamp(forecast_, config_.min_replicas, config_.max_replicas);
  decision.rule = "forecast";
  if (replicas(load) > wanted) {
    wanted = replicas(load);
    decision.rule = "load";
  }
  if (backlog > 0 && replicas(load + backlog) > wanted) {
    wanted = replicas(load + backlog);
    decision.rule = "backlog";
  }
  const bool idle = input.queued + input.running == 0;
  if (!idle) busy_s_ = rates_.seconds();
  decision.target = Hold(wanted, idle);
  if (decision.target > wanted) decision.rule = "hold";
  return decision;
}

int SloPolicy::Hold(int wanted, bool idle) {
  const std::int64_t now = rates_.seconds();
  wanted_.Note(now, wanted);
  const int held =
      wanted_.Within(now, std::max(kLeastStay_s - startups_.mean_s(), holds_.hold_s()));
  const bool needed = !idle || static_cast<double>(now - busy_s_) < config_.to_zero_delay_s;
  return std::clamp(std::max(held, needed ? 1 : 0), config_.min_replicas, config_.max_replicas);
}

}  // namespace penstock::autoscale
