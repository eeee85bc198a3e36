#include "config/diff.h"

#include <gtest/gtest.h>

#include <functional>

#include "config/http_options.h"

namespace penstock::config {
namespace {

struct Change {
  const char* name;
  std::function<void(DeploymentSpec&)> apply;
  ChangeClass expected;
};

class OptionClass : public testing::TestWithParam<Change> {};

TEST_P(OptionClass, IsThatOfTheSpecification) {
  const DeploymentSpec before{.name = "d", .autoscaling = AutoscalingSpec{}};
  DeploymentSpec after = before;
  GetParam().apply(after);
  EXPECT_EQ(ClassOfChange(before, after), GetParam().expected);
  EXPECT_EQ(ClassOfChange(after, before), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Specification21, OptionClass,
    testing::Values(
        Change{"nothing", [](auto&) {}, ChangeClass::kNothing},
        Change{"num_replicas", [](auto& s) { s.num_replicas = 2; }, ChangeClass::kInPlace},
        Change{"max_queued_requests", [](auto& s) { s.max_queued_requests = 2; },
               ChangeClass::kInPlace},
        Change{"rolling", [](auto& s) { s.rolling_update_percentage = 1; }, ChangeClass::kInPlace},
        Change{"bundles", [](auto& s) { s.placement_group.emplace(); }, ChangeClass::kRestart},
        Change{"gang", [](auto& s) { s.gang.emplace(); }, ChangeClass::kRestart},
        Change{"surge", [](auto& s) { s.max_surge_percent = 1; }, ChangeClass::kInPlace},
        Change{"auto_surge", [](auto& s) { s.auto_surge = true; }, ChangeClass::kInPlace},
        Change{"health_period", [](auto& s) { s.health_check_period_s = 1; },
               ChangeClass::kInPlace},
        Change{"graceful_timeout", [](auto& s) { s.graceful_shutdown_timeout_s = 1; },
               ChangeClass::kInPlace},
        Change{"retries", [](auto& s) { s.max_constructor_retry_count = 1; },
               ChangeClass::kInPlace},
        Change{"max_replicas", [](auto& s) { s.autoscaling->max_replicas = 9; },
               ChangeClass::kInPlace},
        Change{"look_back", [](auto& s) { s.autoscaling->look_back_period_s = 9; },
               ChangeClass::kReconfigure},
        Change{"ongoing", [](auto& s) { s.max_ongoing_requests = 1; }, ChangeClass::kReconfigure},
        Change{"user_config", [](auto& s) { s.user_config = "1"; }, ChangeClass::kReconfigure},
        Change{"wait_loop", [](auto& s) { s.graceful_shutdown_wait_loop_s = 1; },
               ChangeClass::kReconfigure},
        Change{"backpressure", [](auto& s) { s.backpressure.status_code = 429; },
               ChangeClass::kReconfigure},
        Change{"router", [](auto& s) { s.request_router.num_virtual_nodes = 7; },
               ChangeClass::kReconfigure},
        Change{"logging", [](auto& s) { s.logging.json = true; }, ChangeClass::kReconfigure},
        Change{"num_cpus", [](auto& s) { s.replica_resources.num_cpus = 2; },
               ChangeClass::kRestart},
        Change{"env_vars", [](auto& s) { s.replica_resources.runtime_env.env_vars["A"] = "1"; },
               ChangeClass::kRestart},
        Change{"priority", [](auto& s) { s.priority = 5; }, ChangeClass::kInPlace},
        Change{"per_node", [](auto& s) { s.max_replicas_per_node = 1; }, ChangeClass::kRestart},
        Change{"several",
               [](auto& s) {
                 s.num_replicas = 5;
                 s.user_config = "1";
               },
               ChangeClass::kReconfigure}),
    [](const auto& test) { return test.param.name; });

TEST(HttpOptions, DefaultsAndOverrides) {
  EXPECT_EQ(*ParseHttpOptions(nullptr), HttpOptions());
  const auto options = ParseHttpOptions({{"host", "0.0.0.0"},
                                         {"port", "8001"},
                                         {"request_timeout_s", -1},
                                         {"keep_alive_timeout_s", 3},
                                         {"request_head_timeout_s", "4.5"},
                                         {"request_body_timeout_s", 5},
                                         {"max_body_bytes", 1000},
                                         {"root_path", "/gw"},
                                         {"ssl_keyfile", "/k"},
                                         {"ssl_certfile", "/c"},
                                         {"ssl_keyfile_password", "p"},
                                         {"ssl_ca_certs", "/a"},
                                         {"unheard_of", 1}});
  EXPECT_EQ(options->host, "0.0.0.0");
  EXPECT_EQ(options->port, 8001);
  EXPECT_EQ(options->request_timeout_s, std::nullopt);
  EXPECT_EQ(options->keep_alive_timeout_s, 3);
  EXPECT_EQ(options->request_head_timeout_s, 4.5);
  EXPECT_EQ(options->request_body_timeout_s, 5);
  EXPECT_EQ(options->max_body_bytes, 1000u);
  EXPECT_EQ(options->root_path, "/gw");
  EXPECT_EQ(options->ssl_keyfile, "/k");
  EXPECT_EQ(options->ssl_certfile, "/c");
  EXPECT_EQ(options->ssl_keyfile_password, "p");
  EXPECT_EQ(options->ssl_ca_certs, "/a");
  EXPECT_FALSE(ParseHttpOptions({{"host", nullptr}})->enabled);
}

TEST(HttpOptions, RefusesWhatServeRemovedAndWhatIsNoPort) {
  for (const nlohmann::json& bad :
       {nlohmann::json{{"port", 70000}}, nlohmann::json{{"port", "x"}},
        nlohmann::json{{"middlewares", {1}}}, nlohmann::json{{"num_cpus", 1}},
        nlohmann::json{{"ssl_certfile", "c"}}, nlohmann::json{{"keep_alive_timeout_s", 0}},
        nlohmann::json{{"ssl_keyfile", 5}}, nlohmann::json{{"request_head_timeout_s", 0}},
        nlohmann::json{{"request_body_timeout_s", -1}}, nlohmann::json{{"max_body_bytes", -1}},
        nlohmann::json{{"max_body_bytes", "many"}}, nlohmann::json{{"host", 5}},
        nlohmann::json("x")}) {
    EXPECT_EQ(ParseHttpOptions(bad).status().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(ParseHttpOptions({{"ssl_keyfile", "k"}}).ok());  // as in Ray Serve, until it starts
}

}  // namespace
}  // namespace penstock::config
