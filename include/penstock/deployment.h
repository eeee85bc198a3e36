// What a user says of a deployment: Ray Serve's options, by Ray Serve's names and defaults.
//
// Plain values. Ranges are those of the behaviour specification, section 2.1; config/ checks
// them and fills these from JSON. Durations are in seconds where the option's name ends in _s.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock {

// A policy of the user's: Python code, in a process of its own.
struct AutoscalingPolicySpec {
  std::string policy_function;       // import path of a function or class
  std::string policy_kwargs = "{}";  // a JSON object, for a class's constructor

  friend bool operator==(const AutoscalingPolicySpec&, const AutoscalingPolicySpec&) = default;
};

// The policy of autoscaling_config that sizes for a waiting-time objective, and the objective.
inline constexpr const char* kSloPolicy = "penstock:slo";
struct SloSpec {
  double waiting_objective_s = 1;   // a request shall start within so long; (0, 600]
  double attainment = 0.95;         // for this share of them; [0.5, 0.9999]
  std::optional<double> startup_s;  // of a replica; absent: learned. (0, 3600]

  friend bool operator==(const SloSpec&, const SloSpec&) = default;
};

// How a deployment follows its traffic (behaviour specification, 5.1).
struct AutoscalingSpec {
  // How the load of the look-back window becomes one number.
  enum class Aggregation { kMean, kMax, kMin };

  int min_replicas = 1;                            // >= 0; 0 lets it go to sleep
  std::optional<int> initial_replicas;             // min <= initial <= max
  int max_replicas = 1;                            // >= 1, >= min; 100 with num_replicas="auto"
  double target_ongoing_requests = 2;              // > 0; per replica, running and queued
  double metrics_interval_s = 10;                  // > 0
  double look_back_period_s = 30;                  // > 0
  double smoothing_factor = 1;                     // > 0
  std::optional<double> upscale_smoothing_factor;  // > 0
  std::optional<double> downscale_smoothing_factor;
  std::optional<double> upscaling_factor;  // > 0; gain, before the two above
  std::optional<double> downscaling_factor;
  double upscale_delay_s = 30;                      // >= 0
  double downscale_delay_s = 600;                   // >= 0
  std::optional<double> downscale_to_zero_delay_s;  // >= 0; absent: downscale_delay_s
  Aggregation aggregation_function = Aggregation::kMean;
  std::optional<AutoscalingPolicySpec> policy;  // absent: the default one
  std::optional<SloSpec> slo;                   // "penstock:slo"; then there is no `policy`

  // upscaling_factor, else upscale_smoothing_factor, else smoothing_factor.
  double UpscaleGain() const;
  // The same for shrinking.
  double DownscaleGain() const;

  friend bool operator==(const AutoscalingSpec&, const AutoscalingSpec&) = default;
};

inline double AutoscalingSpec::UpscaleGain() const {
  return upscaling_factor.value_or(upscale_smoothing_factor.value_or(smoothing_factor));
}

inline double AutoscalingSpec::DownscaleGain() const {
  return downscaling_factor.value_or(downscale_smoothing_factor.value_or(smoothing_factor));
}

// The part of a runtime environment that the engine prepares.
struct RuntimeEnv {
  std::map<std::string, std::string> env_vars;  // set for the replica; they win over everything
  std::string working_dir;                      // folder it starts in and imports from; "" for none
  std::vector<std::string> py_modules;          // folders whose parent it imports from

  friend bool operator==(const RuntimeEnv&, const RuntimeEnv&) = default;
};

// What each replica asks for: ray_actor_options.
struct ReplicaResources {
  std::optional<double> num_cpus;             // absent: 1
  std::optional<double> num_gpus;             // absent: 0
  std::optional<double> memory;               // bytes
  std::optional<double> object_store_memory;  // bytes
  std::map<std::string, double> resources;    // custom and accelerator resources
  std::string accelerator_type;               // "" for none
  std::map<std::string, std::string> label_selector;
  std::vector<std::map<std::string, std::string>> fallback_label_selectors;
  RuntimeEnv runtime_env;

  friend bool operator==(const ReplicaResources&, const ReplicaResources&) = default;
};

// How bundles that are reserved together are spread over nodes.
enum class GroupStrategy {
  kPack,         // as few nodes as there is a way
  kSpread,       // as many
  kStrictPack,   // one node, or wait
  kStrictSpread  // a node each, or wait
};

// What is reserved for each replica: its placement group.
struct PlacementGroupSpec {
  std::vector<std::map<std::string, double>> bundles;  // never empty; it runs in the first
  GroupStrategy strategy = GroupStrategy::kPack;
  // None, or one for each bundle.
  std::vector<std::map<std::string, std::string>> label_selectors;

  friend bool operator==(const PlacementGroupSpec&, const PlacementGroupSpec&) = default;
};

// Replicas that are placed, fail and end together.
struct GangSpec {
  int gang_size = 1;                              // >= 1; replicas
  GroupStrategy strategy = GroupStrategy::kPack;  // or kSpread

  friend bool operator==(const GangSpec&, const GangSpec&) = default;
};

// What a caller is told when the queue is full.
struct BackpressureSpec {
  int status_code = 503;                // or 429
  std::optional<double> retry_after_s;  // >= 0; rounded up in the Retry-After header

  friend bool operator==(const BackpressureSpec&, const BackpressureSpec&) = default;
};

// How a deployment's requests find a replica: request_router_config.
struct RequestRouterSpec {
  enum class Kind {
    kPowerOfTwoChoices,  // the default
    kRoundRobin,
    kConsistentHash,  // on the session id
    kCustom,          // Python code, in a process of its own
  };

  Kind kind = Kind::kPowerOfTwoChoices;
  std::string request_router_class;          // kCustom: its import path
  std::string request_router_kwargs = "{}";  // a JSON object
  int num_virtual_nodes = 100;               // 1..10000; kConsistentHash: points of each replica
  int num_fallback_replicas = 2;             // >= 0; kConsistentHash: tried when the first is full
  double request_routing_stats_period_s = 10;   // > 0
  double request_routing_stats_timeout_s = 30;  // > 0
  double initial_backoff_s = 0.025;             // > 0; kCustom: until it is asked again
  double backoff_multiplier = 2;                // > 0
  double max_backoff_s = 0.5;                   // > 0

  friend bool operator==(const RequestRouterSpec&, const RequestRouterSpec&) = default;
};

// How a replica logs.
struct LoggingSpec {
  bool json = false;     // encoding: TEXT or JSON
  int log_level = 20;    // Python's number: 0, 10, 20, 30, 40 or 50
  std::string logs_dir;  // "": the instance's
  bool enable_access_log = true;
  std::vector<std::string> additional_log_standard_attrs;  // of Python's LogRecord

  friend bool operator==(const LoggingSpec&, const LoggingSpec&) = default;
};

// One deployment.
struct DeploymentSpec {
  std::string name;
  int num_replicas = 1;          // >= 1; what is wanted when `autoscaling` is absent
  int max_ongoing_requests = 5;  // > 0; per replica, over all callers
  int max_queued_requests = -1;  // -1: no limit, else >= 1; per caller
  BackpressureSpec backpressure;
  LoggingSpec logging;
  std::string user_config = "null";          // JSON
  double graceful_shutdown_timeout_s = 20;   // >= 0
  double graceful_shutdown_wait_loop_s = 2;  // >= 0
  double health_check_period_s = 10;         // > 0
  double health_check_timeout_s = 30;        // > 0
  int max_constructor_retry_count = 20;      // > 0
  double rolling_update_percentage = 0.2;    // (0, 1]
  int max_surge_percent = 0;                 // 0..100; what a rollout may have beyond its target
  bool auto_surge = false;                   // max_surge_percent="auto": a wave, where it has room
  int priority = 0;                          // -1000..1000; higher goes first where room is scarce
  std::optional<int> max_replicas_per_node;  // 1..100
  std::optional<AutoscalingSpec> autoscaling;
  RequestRouterSpec request_router;
  ReplicaResources replica_resources;
  std::optional<PlacementGroupSpec> placement_group;
  std::optional<GangSpec> gang;

  friend bool operator==(const DeploymentSpec&, const DeploymentSpec&) = default;
};

}  // namespace penstock
