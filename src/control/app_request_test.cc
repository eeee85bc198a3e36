#include "control/app_request.h"

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

}  // namespace
}  // namespace penstock::control
