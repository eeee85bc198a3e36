#include "control/app_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::control {
namespace {

using nlohmann::json;

json Deploy() {
  return {{"name", "a"},
          {"route_prefix", "/a"},
          {"ingress", "I"},
          {"launch", {{"kind", "python"}}},
          {"deployments",
           {{{"name", "I"}, {"options", {{"num_replicas", 2}}}, {"launch", {{"code", "x"}}}},
            {{"name", "D"}, {"code_version", "own"}}}}};
}

// The message of a refusal, "" when it is accepted.
std::string Refusal(const json& change) {
  json params = Deploy();
  params.update(change);
  return ParseAppRequest(params, "v").status().message();
}

TEST(AppRequest, IsReadWhole) {
  const auto request = ParseAppRequest(Deploy(), "v");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->app.route_prefix, "/a");
  EXPECT_EQ(request->app.deployments, (std::vector<std::string>{"D", "I"}));
  const auto& [name, ingress] = request->deployments.at(0);
  EXPECT_EQ(name, "I");
  EXPECT_EQ(ingress.spec.num_replicas, 2);
  EXPECT_EQ(ingress.launch, (json{{"kind", "python"}, {"code", "x"}}));
  EXPECT_EQ(ingress.code_version, "v");
  EXPECT_EQ(request->deployments.at(1).second.code_version, "own");
}

TEST(AppRequest, LoggingIsTheDeploymentsElseTheApplicationsElseTheInstances) {
  const json instance = {{"log_level", "DEBUG"}};
  const auto levels = [&](const json& change) {
    json params = Deploy();
    params.update(change);
    const auto request = ParseAppRequest(params, "v", instance);
    EXPECT_TRUE(request.ok()) << request.status().message();
    std::vector<int> found;
    for (const auto& [name, target] : request->deployments) {
      found.push_back(target.spec.logging.log_level);
      EXPECT_EQ(target.options.at("logging_config").size(), 1u) << "whole, not field by field";
    }
    return found;
  };
  EXPECT_EQ(levels(json::object()), (std::vector<int>{10, 10}));
  EXPECT_EQ(levels({{"logging_config", {{"log_level", "ERROR"}}}}), (std::vector<int>{40, 40}));
  const json own = {{{"name", "I"}, {"options", {{"logging_config", {{"encoding", "JSON"}}}}}},
                    {{"name", "D"}, {"options", {{"logging_config", nullptr}}}}};
  EXPECT_EQ(levels({{"logging_config", {{"log_level", "ERROR"}}}, {"deployments", own}}),
            (std::vector<int>{20, 40}));
  EXPECT_NE(Refusal({{"logging_config", {{"log_level", "LOUD"}}}}).find("logging_config.log_level"),
            std::string::npos);
}

TEST(AppRequest, IsRefusedInWords) {
  EXPECT_EQ(Refusal({{"name", ""}}), "Application name must a non-empty string.");
  EXPECT_EQ(Refusal({{"ingress", "X"}}),
            "The ingress 'X' of application 'a' is none of its deployments.");
  EXPECT_EQ(Refusal({{"deployments", {{{"name", "I"}}, {{"name", "I"}}}}}),
            "Application 'a' names a deployment twice.");
  EXPECT_EQ(Refusal({{"route_prefix", "a"}}),
            "The route_prefix must start with a forward slash ('/'), got 'a'.");
  EXPECT_NE(Refusal({{"route_prefix", "/a/"}}), "");
  EXPECT_NE(Refusal({{"route_prefix", "/{x}"}}), "");
}

TEST(AppRequest, FieldsOfAnotherTypeAreRefusedNotThrown) {
  for (const json& change : std::vector<json>{{{"name", 1}},
                                              {{"ingress", json::array()}},
                                              {{"route_prefix", 5}},
                                              {{"launch", "x"}},
                                              {{"launch", json::array()}},
                                              {{"launch", {{"cwd", 1}}}},
                                              {{"launch", {{"kind", json()}}}},
                                              {{"deployments", {1}}},
                                              {{"deployments", {{{"name", 1}}}}}}) {
    EXPECT_EQ(Refusal(change).find("serve.deploy: "), 0u) << change;
  }
  for (const json& params : {json(), json::array(), json(5)}) {
    EXPECT_EQ(ParseAppRequest(params, "v").status().code(), Code::kInvalidArgument);
  }
}

TEST(AppRequest, AnExternalScalerExcludesAutoscaling) {
  json params = {{"name", "a"},
                 {"ingress", "D"},
                 {"external_scaler_enabled", true},
                 {"deployments", {{{"name", "D"}, {"options", json::object()}}}}};
  const auto good = ParseAppRequest(params, "v");
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_TRUE(good->app.external_scaler);
  params["deployments"][0]["options"]["num_replicas"] = "auto";
  EXPECT_THAT(ParseAppRequest(params, "v").status().message(),
              testing::StartsWith("external_scaler_enabled is set for application 'a', so "
                                  "deployment 'D' may have no autoscaling_config"));
  params["external_scaler_enabled"] = "yes";
  EXPECT_EQ(ParseAppRequest(params, "v").status().message(),
            "external_scaler_enabled must be true or false, got \"yes\"");
}

}  // namespace
}  // namespace penstock::control
