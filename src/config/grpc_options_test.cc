#include "config/grpc_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace penstock::config {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

TEST(GrpcOptions, DefaultsServeNothing) {
  const auto options = ParseGrpcOptions(Json());
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->port, 9000);
  EXPECT_TRUE(options->enable_reflection);
  EXPECT_FALSE(options->enabled());
}

TEST(GrpcOptions, AreEnabledByAFunctionAndAPort) {
  Json json = {{"grpc_servicer_functions", {"m.add_EchoServicer_to_server"}}};
  EXPECT_TRUE(ParseGrpcOptions(json)->enabled());
  json["port"] = 0;
  EXPECT_FALSE(ParseGrpcOptions(json)->enabled());
}

TEST(GrpcOptions, ATimeOutThatIsNotPositiveIsNone) {
  EXPECT_EQ(ParseGrpcOptions({{"request_timeout_s", 2.5}})->request_timeout_s, 2.5);
  EXPECT_EQ(ParseGrpcOptions({{"request_timeout_s", 0}})->request_timeout_s, std::nullopt);
}

TEST(GrpcOptions, BadValuesAreRefusedByName) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"port", 70000}}, "grpc_options.port"},
      {{{"port", "http"}}, "grpc_options.port"},
      {{{"request_timeout_s", "soon"}}, "grpc_options.request_timeout_s"},
      {{{"grpc_servicer_functions", "m.add"}}, "grpc_options.grpc_servicer_functions"},
      {{{"grpc_servicer_functions", {1}}}, "grpc_options.grpc_servicer_functions"},
      {{{"enable_reflection", "yes"}}, "grpc_options.enable_reflection"},
      {{{"directory", "../etc"}}, "grpc_options.directory"},
      {Json::array(), "grpc_options"},
  };
  for (const auto& [json, field] : cases) {
    const auto options = ParseGrpcOptions(json);
    ASSERT_FALSE(options.ok()) << json;
    EXPECT_EQ(options.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(options.status().message(), HasSubstr(field));
  }
}

}  // namespace
}  // namespace penstock::config
