#include "proxy/grpc_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/message.h"

namespace penstock::proxy {
namespace {

using base::Json;
using testing::ElementsAre;
using testing::IsEmpty;

Json Method(const std::string& path) {
  return {
      {"path", path}, {"servicer", "m.add"}, {"client_streams", false}, {"server_streams", true}};
}

TEST(GrpcDirectory, FindsMethodsAndFilesWithWhatTheyImport) {
  const Json files = {
      {{"name", "a"}, {"size", 2}, {"imports", {"b", "gone"}}, {"symbols", {"p.S"}}},
      {{"name", "b"}, {"size", 3}, {"imports", {"a"}}, {"symbols", {"p.M"}}}};
  const auto directory = GrpcDirectory::Parse(base::EncodeMessage(
      {{{"methods", {Method("/p.S/One"), Method("/p.S/Two")}}, {"files", files}}, "aabbb"}));
  ASSERT_TRUE(directory.ok()) << directory.status().message();
  ASSERT_NE(directory->Find("/p.S/Two"), nullptr);
  EXPECT_TRUE(directory->Find("/p.S/Two")->server_streams);
  EXPECT_EQ(directory->Find("/p.S/Two")->servicer, "m.add");
  EXPECT_EQ(directory->Find("/p.S/Three"), nullptr);
  EXPECT_THAT(directory->services(), ElementsAre("p.S"));
  EXPECT_THAT(directory->FilesBySymbol("p.S"), ElementsAre("aa", "bbb"));
  EXPECT_THAT(directory->FilesByName("b"), ElementsAre("bbb", "aa"));
  EXPECT_THAT(directory->FilesBySymbol("p.X"), IsEmpty());
  EXPECT_THAT(directory->FilesByName("gone"), IsEmpty());
}

TEST(GrpcDirectory, WhatIsNoneIsRefused) {
  const Json file = {{"name", "a"}, {"size", 9}, {"imports", Json::array()}, {"symbols", {"p.S"}}};
  for (const Json& bad :
       {Json{{"methods", {Method("p.S/One")}}, {"files", Json::array()}},
        Json{{"methods", {Method("//One")}}, {"files", Json::array()}},
        Json{{"methods", {Method("/p.S/")}}, {"files", Json::array()}},
        Json{{"methods", Json::array()}, {"files", {file}}}, Json{{"files", Json::array()}}}) {
    EXPECT_EQ(GrpcDirectory::Parse(base::EncodeMessage({bad, "12345"})).status().code(),
              Code::kInvalidArgument)
        << bad;
  }
  EXPECT_FALSE(GrpcDirectory::Parse("").ok());
}

}  // namespace
}  // namespace penstock::proxy
