#include "config/deployment_options.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "config/fields.h"

namespace penstock::config {
namespace {

// Merges one call over nothing; the merged options, or the message prefixed by its exception.
std::string Outcome(const Json& call) {
  const auto merged = MergeOptions(Json::object(), call);
  if (merged.ok()) return merged->dump();
  const char* error = "ValueError: ";
  if (merged.status().code() == Code::kWrongType) error = "TypeError: ";
  if (merged.status().code() == Code::kUnimplemented) error = "NotImplementedError: ";
  return error + merged.status().message();
}

DeploymentSpec Spec(const Json& call) {
  return *SpecFromOptions("d", *MergeOptions(Json::object(), call));
}

TEST(DeploymentOptions, DefaultsAreServes) {
  const DeploymentSpec spec = Spec(Json::object());
  EXPECT_EQ(spec.name, "d");
  EXPECT_EQ(spec.num_replicas, 1);
  EXPECT_EQ(spec.max_ongoing_requests, 5);
  EXPECT_EQ(spec.max_queued_requests, -1);
  EXPECT_EQ(spec.user_config, "null");
  EXPECT_EQ(spec.graceful_shutdown_timeout_s, 20);
  EXPECT_EQ(spec.health_check_period_s, 10);
  EXPECT_EQ(spec.max_constructor_retry_count, 20);
  EXPECT_EQ(spec.rolling_update_percentage, 0.2);
  EXPECT_FALSE(spec.autoscaling);
}

TEST(DeploymentOptions, OnlyWhatWasSetIsKept) {
  EXPECT_EQ(Outcome({{"num_replicas", "3"}, {"max_ongoing_requests", 7.0}}),
            R"({"max_ongoing_requests":7,"num_replicas":3})");
  EXPECT_EQ(Outcome({{"num_replicas", nullptr}, {"autoscaling_config", nullptr}}), "{}");
}

TEST(DeploymentOptions, AutoIsSpelledOut) {
  const DeploymentSpec spec =
      Spec({{"num_replicas", "auto"}, {"autoscaling_config", {{"max_replicas", 5}}}});
  ASSERT_TRUE(spec.autoscaling);
  EXPECT_EQ(spec.autoscaling->min_replicas, 1);
  EXPECT_EQ(spec.autoscaling->max_replicas, 5);
  EXPECT_EQ(spec.autoscaling->target_ongoing_requests, 2);
  EXPECT_EQ(Spec({{"num_replicas", "auto"}}).autoscaling->max_replicas, 100);
}

TEST(DeploymentOptions, LaterCallsWinKeyByKey) {
  const Json first =
      *MergeOptions(Json::object(), {{"num_replicas", 2}, {"user_config", {{"a", 1}}}});
  const Json second =
      *MergeOptions(first, {{"user_config", {{"b", 2}}}, {"max_queued_requests", 9}});
  EXPECT_EQ(second.dump(), R"({"max_queued_requests":9,"num_replicas":2,"user_config":{"b":2}})");
}

TEST(DeploymentOptions, ANumberDoesNotClearAutoscalingButNoneDoes) {
  const Json first = *MergeOptions(Json::object(), {{"autoscaling_config", {{"max_replicas", 3}}}});
  EXPECT_TRUE(SpecFromOptions("d", *MergeOptions(first, {{"num_replicas", 2}}))->autoscaling);
  const Json fixed = *MergeOptions(first, {{"num_replicas", 2}, {"autoscaling_config", nullptr}});
  EXPECT_FALSE(SpecFromOptions("d", fixed)->autoscaling);
}

TEST(DeploymentOptions, EverythingReachesTheSpec) {
  const DeploymentSpec spec =
      Spec({{"max_surge_percent", 50},
            {"priority", -3},
            {"rolling_update_percentage", 0.5},
            {"graceful_shutdown_wait_loop_s", 0.1},
            {"max_replicas_per_node", 2},
            {"backpressure_config", {{"status_code", 429}, {"retry_after_s", 1.2}}},
            {"ray_actor_options",
             {{"num_cpus", 2},
              {"num_gpus", 0.5},
              {"memory", 1024},
              {"object_store_memory", 2048},
              {"accelerator_type", "T4"},
              {"resources", {{"widget", 1}}},
              {"label_selector", {{"zone", "a"}}},
              {"fallback_strategy", {{{"label_selector", {{"zone", "b"}}}}}},
              {"runtime_env",
               {{"env_vars", {{"A", "1"}}}, {"working_dir", "/w"}, {"py_modules", {"/m"}}}}}}});
  EXPECT_EQ(spec.max_surge_percent, 50);
  EXPECT_EQ(spec.priority, -3);
  EXPECT_FALSE(spec.auto_surge);
  EXPECT_TRUE(Spec({{"max_surge_percent", "auto"}}).auto_surge);
  EXPECT_EQ(spec.max_replicas_per_node, 2);
  EXPECT_EQ(spec.backpressure.status_code, 429);
  EXPECT_EQ(spec.backpressure.retry_after_s, 1.2);
  EXPECT_EQ(spec.replica_resources.num_gpus, 0.5);
  EXPECT_EQ(spec.replica_resources.object_store_memory, 2048);
  EXPECT_EQ(spec.replica_resources.fallback_label_selectors.at(0).at("zone"), "b");
  EXPECT_EQ(spec.replica_resources.runtime_env.env_vars.at("A"), "1");
  EXPECT_EQ(spec.replica_resources.runtime_env.py_modules.at(0), "/m");
}

struct Refusal {
  const char* name;
  Json call;
  const char* message;  // a prefix
};

class BadOptions : public testing::TestWithParam<Refusal> {};

TEST_P(BadOptions, AreRefusedWithServesWords) {
  const std::string outcome = Outcome(GetParam().call);
  EXPECT_EQ(outcome.find(GetParam().message), 0u) << outcome;
}

Json Actor(const Json& options) { return {{"ray_actor_options", options}}; }
Json Scaling(const Json& options) { return {{"autoscaling_config", options}}; }

INSTANTIATE_TEST_SUITE_P(
    AsServe, BadOptions,
    testing::Values(
        Refusal{"zero_replicas",
                {{"num_replicas", 0}},
                "ValueError: num_replicas is expected to larger than 0"},
        Refusal{"negative_replicas",
                {{"num_replicas", -1}},
                "ValueError: num_replicas: Input should be greater than or equal to 0"},
        Refusal{"half_replica",
                {{"num_replicas", 1.5}},
                "ValueError: num_replicas: Input should be a valid integer"},
        Refusal{"word_replicas",
                {{"num_replicas", "foo"}},
                "ValueError: num_replicas: Input should be a valid integer"},
        Refusal{"both",
                {{"num_replicas", 2}, {"autoscaling_config", Json::object()}},
                "ValueError: Manually setting num_replicas is not allowed when autoscaling_config "
                "is provided."},
        Refusal{"no_ongoing",
                {{"max_ongoing_requests", nullptr}},
                "ValueError: `max_ongoing_requests` must be non-null, got None."},
        Refusal{"zero_ongoing",
                {{"max_ongoing_requests", 0}},
                "ValueError: max_ongoing_requests: Input should be greater than 0"},
        Refusal{"zero_queued",
                {{"max_queued_requests", 0}},
                "ValueError: max_queued_requests: max_queued_requests must be -1 (no limit) or a "
                "positive integer."},
        // Their lowest 32 bits read -1 and 1.
        Refusal{"queued_far_below",
                {{"max_queued_requests", -4294967297}},
                "ValueError: max_queued_requests: max_queued_requests must be -1 (no limit) or a "
                "positive integer."},
        Refusal{"queued_far_below_too",
                {{"max_queued_requests", -4294967295}},
                "ValueError: max_queued_requests: max_queued_requests must be -1 (no limit) or a "
                "positive integer."},
        Refusal{"null_queued",
                {{"max_queued_requests", nullptr}},
                "ValueError: max_queued_requests: Input should be a valid integer"},
        Refusal{
            "graceful",
            {{"graceful_shutdown_timeout_s", -1}},
            "ValueError: graceful_shutdown_timeout_s: Input should be greater than or equal to 0"},
        Refusal{"period",
                {{"health_check_period_s", 0}},
                "ValueError: health_check_period_s: Input should be greater than 0"},
        Refusal{"retries",
                {{"max_constructor_retry_count", 0}},
                "ValueError: max_constructor_retry_count: Input should be greater than 0"},
        Refusal{"rolling",
                {{"rolling_update_percentage", 1.5}},
                "ValueError: rolling_update_percentage: Input should be less than or equal to 1"},
        Refusal{"surge",
                {{"max_surge_percent", 101}},
                "ValueError: max_surge_percent: Input should be less than or equal to 100"},
        Refusal{"surge_word",
                {{"max_surge_percent", "some"}},
                "ValueError: max_surge_percent: Input should be a valid integer"},
        Refusal{"priority_too_high",
                {{"priority", 1001}},
                "ValueError: priority: Input should be less than or equal to 1000"},
        Refusal{"priority_too_low",
                {{"priority", -1001}},
                "ValueError: priority: Input should be greater than or equal to -1000"},
        Refusal{"priority_in_words",
                {{"priority", "high"}},
                "ValueError: priority: Input should be a valid integer"},
        Refusal{"per_node_zero",
                {{"max_replicas_per_node", 0}},
                "ValueError: Invalid max_replicas_per_node 0. Valid values are None or an integer "
                "in the range of [1, 100]."},
        Refusal{"per_node_text",
                {{"max_replicas_per_node", "a"}},
                "TypeError: Get invalid type '<class 'str'>' for max_replicas_per_node."},
        Refusal{"unknown", {{"replicas", 3}}, "ValueError: unknown deployment option 'replicas'"},
        Refusal{"min_over_max", Scaling({{"min_replicas", 3}, {"max_replicas", 2}}),
                "ValueError: autoscaling_config: max_replicas (2) must be greater than or equal to "
                "min_replicas (3)!"},
        Refusal{"initial_low",
                Scaling({{"min_replicas", 2}, {"initial_replicas", 1}, {"max_replicas", 4}}),
                "ValueError: autoscaling_config: min_replicas (2) must be less than or equal to "
                "initial_replicas (1)!"},
        Refusal{"initial_high",
                Scaling({{"min_replicas", 2}, {"initial_replicas", 6}, {"max_replicas", 4}}),
                "ValueError: autoscaling_config: max_replicas (4) must be greater than or equal to "
                "initial_replicas (6)!"},
        Refusal{"negative_min", Scaling({{"min_replicas", -1}}),
                "ValueError: autoscaling_config.min_replicas: Input should be greater than or "
                "equal to 0"},
        Refusal{"zero_max", Scaling({{"max_replicas", 0}}),
                "ValueError: autoscaling_config.max_replicas: Input should be greater than 0"},
        Refusal{"zero_target", Scaling({{"target_ongoing_requests", 0}}),
                "ValueError: autoscaling_config.target_ongoing_requests: Input should be greater "
                "than 0"},
        Refusal{"aggregation", Scaling({{"aggregation_function", "p50"}}),
                "ValueError: autoscaling_config.aggregation_function: 'p50' is not a valid "
                "AggregationFunction"},
        Refusal{"list_scaling", Scaling(Json::array()),
                "ValueError: autoscaling_config: Input should be a valid dictionary"},
        Refusal{"options_text", Actor("num_cpus=1"),
                "TypeError: Got invalid type \"<class 'str'>\" for ray_actor_options. Expected a "
                "dictionary."},
        Refusal{"cpus_text", Actor({{"num_cpus", "four"}}),
                "TypeError: The type of keyword 'num_cpus' must be (<class 'float'>, <class "
                "'int'>, <class 'NoneType'>), but received type <class 'str'>"},
        Refusal{"resources_list", Actor({{"resources", {1}}}),
                "TypeError: The type of keyword 'resources' must be (<class 'dict'>, <class "
                "'NoneType'>), but received type <class 'list'>"},
        Refusal{"resource_text", Actor({{"resources", {{"x", "a"}}}}),
                "TypeError: The amount of resource 'x' must be a number"},
        Refusal{"negative_memory", Actor({{"memory", -5}}),
                "ValueError: The quantity of resource memory cannot be negative"},
        Refusal{"type_number", Actor({{"accelerator_type", 3}}),
                "TypeError: The type of keyword 'accelerator_type' must be (<class 'str'>, <class "
                "'NoneType'>), but received type <class 'int'>"},
        Refusal{"env_text", Actor({{"runtime_env", "x"}}),
                "TypeError: The type of keyword 'runtime_env' must be (<class 'dict'>, <class "
                "'NoneType'>), but received type <class 'str'>"},
        Refusal{"selector_text", Actor({{"label_selector", "x"}}),
                "TypeError: The type of keyword 'label_selector' must be (<class 'dict'>, <class "
                "'NoneType'>), but received type <class 'str'>"},
        Refusal{"selector_number", Actor({{"label_selector", {{"a", 1}}}}),
                "TypeError: label_selector['a']: expected string"},
        Refusal{"fallback_dict", Actor({{"fallback_strategy", {{"a", 1}}}}),
                "TypeError: The type of keyword 'fallback_strategy' must be (<class 'list'>, "
                "<class 'NoneType'>), but received type <class 'dict'>"},
        Refusal{"fallback_key", Actor({{"fallback_strategy", {{{"x", 1}}}}}),
                "ValueError: Unsupported option found: 'x'. Only ['label_selector'] is currently "
                "supported."},
        Refusal{"actor_name", Actor({{"name", "x"}}),
                "ValueError: Specifying 'name' in ray_actor_options is not allowed. Allowed "
                "options: {"},
        Refusal{"no_bundles",
                {{"placement_group_bundles", Json::array()}},
                "ValueError: Bundles must be a non-empty list of resource dictionaries. For "
                "example: `[{\"CPU\": 1.0}, {\"GPU\": 1.0}]`. Got empty list instead."},
        Refusal{"empty_bundle",
                {{"placement_group_bundles", {Json::object()}}},
                "ValueError: Bundles cannot be an empty dictionary or resources with only 0 "
                "values. Bundles: [{}]"},
        Refusal{"small_bundle",
                {{"placement_group_bundles", {{{"CPU", 0.5}}}}},
                "ValueError: When using `placement_group_bundles`, the replica actor will be "
                "placed in the first bundle"},
        Refusal{"bad_strategy",
                {{"placement_group_bundles", {{{"CPU", 1}}}}, {"placement_group_strategy", "FOO"}},
                "ValueError: Invalid placement group strategy FOO. Supported strategies are:"},
        Refusal{"strategy_number",
                {{"placement_group_bundles", {{{"CPU", 1}}}}, {"placement_group_strategy", 5}},
                "ValueError: Invalid placement group strategy 5. Supported strategies are:"},
        Refusal{"strategy_alone",
                {{"placement_group_strategy", "PACK"}},
                "ValueError: If `placement_group_strategy` is provided, `placement_group_bundles` "
                "must also be provided."},
        Refusal{"bundles_and_per_node",
                {{"placement_group_bundles", {{{"CPU", 1}}}}, {"max_replicas_per_node", 1}},
                "ValueError: Setting max_replicas_per_node is not allowed when "
                "placement_group_bundles is provided."},
        Refusal{"backpressure_code",
                {{"backpressure_config", {{"status_code", 500}}}},
                "ValueError: backpressure_config.status_code: Input should be 503 or 429"},
        Refusal{"backpressure_key",
                {{"backpressure_config", {{"x", 1}}}},
                "ValueError: backpressure_config.x: Extra inputs are not permitted"},
        Refusal{"log_level",
                {{"logging_config", {{"log_level", "LOUD"}}}},
                "ValueError: logging_config.log_level: log_level must be one of"},
        Refusal{"log_level_wraps",
                {{"logging_config", {{"log_level", 4294967306}}}},
                "ValueError: logging_config.log_level: log_level must be one of"},
        Refusal{"log_encoding",
                {{"logging_config", {{"encoding", "XML"}}}},
                "ValueError: logging_config.encoding: Encoding must be one of"},
        Refusal{"log_attribute",
                {{"logging_config", {{"additional_log_standard_attrs", {"name", "colour"}}}}},
                "ValueError: logging_config.additional_log_standard_attrs: Unknown attribute of "
                "Python's LogRecord, got 'colour'"},
        Refusal{"log_folder",
                {{"logging_config", {{"logs_dir", 1}}}},
                "ValueError: logging_config.logs_dir: "},
        Refusal{"log_access",
                {{"logging_config", {{"enable_access_log", "maybe"}}}},
                "ValueError: logging_config.enable_access_log: Input should be a valid boolean"},
        Refusal{
            "router_backoff",
            {{"request_router_config", {{"initial_backoff_s", 0}}}},
            "ValueError: request_router_config.initial_backoff_s: Input should be greater than 0"},
        Refusal{"gang_multiple",
                {{"gang_scheduling_config", {{"gang_size", 2}}}, {"num_replicas", 3}},
                "ValueError: num_replicas (3) must be a multiple of gang_size (2)."},
        Refusal{"gang_zero",
                {{"gang_scheduling_config", {{"gang_size", 0}}}},
                "ValueError: gang_scheduling_config.gang_size: Input should be greater than or "
                "equal to 1"},
        Refusal{"gang_text_multiple",
                {{"gang_scheduling_config", {{"gang_size", "2"}}}, {"num_replicas", 3}},
                "ValueError: num_replicas (3) must be a multiple of gang_size (2)."},
        Refusal{"small_text_bundle",
                {{"placement_group_bundles", {{{"CPU", "0.5"}}}}},
                "ValueError: When using `placement_group_bundles`, the replica actor will be "
                "placed in the first bundle"},
        Refusal{"actor_named_by_number",
                {{"deployment_actors", {{{"name", 1}}}}},
                "ValueError: deployment_actors.name: Input should be a valid string, got 1"},
        Refusal{
            "bundle_label_of_a_wrong_kind",
            {{"placement_group_bundles", {{{"CPU", 1}}}},
             {"placement_group_bundle_label_selector", {1}}},
            "ValueError: placement_group_bundle_label_selector: must be a list of dictionaries, "
            "got 1"},
        Refusal{"gang_strategy",
                {{"gang_scheduling_config",
                  {{"gang_size", 1}, {"gang_placement_strategy", "STRICT_PACK"}}}},
                "ValueError: gang_scheduling_config.gang_placement_strategy: Input should be "
                "'PACK' or 'SPREAD', got 'STRICT_PACK'"},
        Refusal{"gang_policy",
                {{"gang_scheduling_config",
                  {{"gang_size", 1}, {"runtime_failure_policy", "RESTART_REPLICA"}}}},
                "NotImplementedError: gang_scheduling_config.runtime_failure_policy: "
                "RESTART_REPLICA is not implemented"},
        Refusal{"actors_twice",
                {{"deployment_actors", {{{"name", "a"}}, {{"name", "a"}}}}},
                "ValueError: deployment_actors must have unique names. Duplicate name(s): ['a']"}),
    [](const auto& test) { return test.param.name; });

TEST(DeploymentOptions, GroupsReachTheSpec) {
  const DeploymentSpec spec =
      Spec({{"placement_group_bundles", {{{"CPU", 1}, {"GPU", 2}}, {{"CPU", 0.5}}}},
            {"placement_group_strategy", "STRICT_SPREAD"},
            {"placement_group_bundle_label_selector", {{{"zone", "a"}}}}});
  ASSERT_TRUE(spec.placement_group);
  EXPECT_EQ(spec.placement_group->bundles.at(0).at("GPU"), 2);
  EXPECT_EQ(spec.placement_group->bundles.at(1).at("CPU"), 0.5);
  EXPECT_EQ(spec.placement_group->strategy, GroupStrategy::kStrictSpread);
  ASSERT_EQ(spec.placement_group->label_selectors.size(), 2u) << "one stands for all";
  EXPECT_EQ(spec.placement_group->label_selectors[1].at("zone"), "a");
  EXPECT_FALSE(spec.gang);
  const DeploymentSpec gang =
      Spec({{"num_replicas", 4},
            {"gang_scheduling_config", {{"gang_size", 2}, {"gang_placement_strategy", "SPREAD"}}}});
  ASSERT_TRUE(gang.gang);
  EXPECT_EQ(gang.gang->gang_size, 2);
  EXPECT_EQ(gang.gang->strategy, GroupStrategy::kSpread);
}

TEST(NotActedUpon, NamesWhatIsTakenAndNotDone) {
  EXPECT_TRUE(NotActedUpon({{"num_replicas", 2}, {"max_surge_percent", 10}}).empty());
  EXPECT_EQ(NotActedUpon({{"deployment_actors", {{{"name", "a"}}}}}),
            std::vector<std::string>{"deployment_actors"});
  EXPECT_TRUE(
      NotActedUpon({{"autoscaling_config", {{"policy", {{"policy_function", "m:f"}}}}}}).empty());
}

TEST(DeploymentOptions, APolicyOfTheUsersReachesTheSpec) {
  const auto policy = [](const Json& given) {
    return Spec({{"autoscaling_config", {{"policy", given}}}}).autoscaling->policy;
  };
  const auto slo = [](const Json& given) {
    return Spec({{"autoscaling_config", {{"policy", given}}}}).autoscaling;
  };
  EXPECT_EQ(slo("penstock:slo")->slo, SloSpec{});
  EXPECT_FALSE(slo("penstock:slo")->policy);
  EXPECT_EQ(slo({{"policy_function", "penstock:slo"},
                 {"policy_kwargs",
                  {{"waiting_objective_s", 2}, {"attainment", 0.99}, {"startup_s", nullptr}}}})
                ->slo,
            (SloSpec{.waiting_objective_s = 2, .attainment = 0.99}));
  const auto own = policy({{"policy_function", "m:f"}, {"policy_kwargs", {{"n", 1}}}});
  ASSERT_TRUE(own);
  EXPECT_EQ(own->policy_function, "m:f");
  EXPECT_EQ(own->policy_kwargs, R"({"n":1})");
  for (const char* serves :
       {"ray.serve.autoscaling_policy:default_autoscaling_policy",
        "ray.serve.autoscaling_policy:replica_queue_length_autoscaling_policy"}) {
    EXPECT_FALSE(policy({{"policy_function", serves}}));
  }
}

TEST(Logging, IsReadWhole) {
  EXPECT_EQ(Spec(Json::object()).logging, LoggingSpec());
  EXPECT_EQ(Spec({{"logging_config",
                   {{"encoding", "JSON"},
                    {"log_level", "WARN"},
                    {"logs_dir", "/logs"},
                    {"enable_access_log", false},
                    {"additional_log_standard_attrs", {"name", "thread"}}}}})
                .logging,
            (LoggingSpec{.json = true,
                         .log_level = 30,
                         .logs_dir = "/logs",
                         .enable_access_log = false,
                         .additional_log_standard_attrs = {"name", "thread"}}));
  EXPECT_EQ(Spec({{"logging_config", {{"log_level", 10}, {"logs_dir", nullptr}}}}).logging,
            LoggingSpec{.log_level = 10});
}

TEST(RuntimeEnvironment, IsCheckedWhenItIsAboutToBeUsed) {
  const auto spec = [](const Json& env) {
    return SpecFromOptions("d", *MergeOptions(Json::object(), Actor({{"runtime_env", env}})))
        .status();
  };
  EXPECT_TRUE(spec({{"env_vars", {{"A", "1"}}}, {"excludes", {"*.bin"}}}).ok());
  EXPECT_EQ(spec({{"pip", {"torch"}}}).code(), Code::kUnimplemented);
  EXPECT_NE(spec({{"pip", {"torch"}}}).message().find("runtime_env['pip']"), std::string::npos);
  EXPECT_EQ(spec({{"env_vars", {{"A", 1}}}}).message(),
            "runtime_env['env_vars']['A']: must be a string, got 1");
  EXPECT_FALSE(spec({{"env_vars", {"A"}}}).ok());
  EXPECT_FALSE(spec({{"working_dir", 5}}).ok());
  EXPECT_FALSE(spec({{"py_modules", "x"}}).ok());
}

// Whatever JSON a client sends, the answer is a value or an error, never a crash; and what was
// accepted once is accepted again unchanged.
RC_GTEST_PROP(DeploymentOptions, AnyJsonIsAnsweredAndMergingIsStable, ()) {
  const auto any = rc::gen::element<Json>(
      nullptr, true, -1, 0, 2, 1.5, "auto", "x", "3", Json::array(), Json::object(),
      Json{{"CPU", 1}}, Json{{"gang_size", 2}}, Json{{"min_replicas", 2}, {"max_replicas", 4}},
      Json::array({Json{{"CPU", 2}}}));
  const auto name = rc::gen::element<std::string>(
      "num_replicas", "max_ongoing_requests", "max_queued_requests", "autoscaling_config",
      "ray_actor_options", "placement_group_bundles", "placement_group_strategy",
      "gang_scheduling_config", "backpressure_config", "logging_config", "user_config",
      "max_replicas_per_node", "deployment_actors", "request_router_config", "nonsense");
  Json call = Json::object();
  for (int i = *rc::gen::inRange(0, 5); i > 0; --i) call[*name] = *any;
  const auto merged = MergeOptions(Json::object(), call);
  if (!merged.ok()) return;
  RC_ASSERT(*MergeOptions(*merged, Json::object()) == *merged);
  RC_ASSERT(*MergeOptions(Json::object(), *merged) == *merged);
}

}  // namespace
}  // namespace penstock::config
