#include "engine/local/zygote_key.h"

#include <gtest/gtest.h>

namespace penstock::engine::local {
namespace {

using nlohmann::json;

Result<ZygoteKey> KeyOf(const json& launch, const Variables& variables) {
  return ZygoteKeyOf(launch, ReplicaEnvironment{.variables = variables});
}

const json kPython = {{"kind", "python"}, {"python", "/usr/bin/python3"}};

std::string WhyNot(const json& launch, const Variables& variables) {
  const auto key = KeyOf(launch, variables);
  EXPECT_FALSE(key.ok());
  return key.status().message();
}

TEST(ZygoteKey, IsTheSameForVariablesThatCanStillBeSet) {
  const auto one = KeyOf(kPython, {{"HOME", "/h"}, {"OMP_NUM_THREADS", "1"}});
  const auto two =
      KeyOf(kPython, {{"HOME", "/h"}, {"OMP_NUM_THREADS", "8"}, {"CUDA_VISIBLE_DEVICES", "3"}});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(*one, *two);
}

class Fixed : public testing::TestWithParam<const char*> {};

TEST_P(Fixed, MakesAnotherKey) {
  const auto without = KeyOf(kPython, {});
  const auto with = KeyOf(kPython, {{GetParam(), "x"}});
  const auto other = KeyOf(kPython, {{GetParam(), "y"}});
  ASSERT_TRUE(without.ok() && with.ok() && other.ok());
  EXPECT_NE(*without, *with);
  EXPECT_NE(*with, *other);
}

INSTANTIATE_TEST_SUITE_P(Variables, Fixed,
                         testing::Values("PYTHONPATH", "PYTHONHASHSEED", "LD_PRELOAD",
                                         "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LC_ALL", "LANG",
                                         "TZ", "HOME", "ASAN_OPTIONS", "OPENSSL_CONF"));

TEST(ZygoteKey, IsAnotherForAnotherInterpreter) {
  EXPECT_NE(*KeyOf(kPython, {}), *KeyOf({{"python", "/opt/bin/python3"}}, {}));
}

TEST(ZygoteKey, IsTheSameWhateverRuntimeEnvAddsToThePath) {
  const std::vector<std::string> folders = {"/w", "/m"};
  const auto key = [&](const std::string& path) {
    return *ZygoteKeyOf(kPython, {.variables = {{"PYTHONPATH", path}}, .import_folders = folders});
  };
  EXPECT_EQ(key("/w:/m"), *KeyOf(kPython, {}));
  EXPECT_EQ(key("/w:/m:/p:/q"), *KeyOf(kPython, {{"PYTHONPATH", "/p:/q"}}));
}

TEST(ZygoteKey, ThereIsNoneForWhatCannotBeForkedOrShallNotBe) {
  EXPECT_EQ(WhyNot({{"kind", "library"}, {"library", "/l.so"}}, {}), "it is not Python");
  EXPECT_EQ(WhyNot({{"kind", "python"}}, {}), "'python3' is not a path");
  EXPECT_EQ(WhyNot(kPython, {{"PENSTOCK_ZYGOTE", "0"}}), "PENSTOCK_ZYGOTE=0");
  EXPECT_TRUE(KeyOf(kPython, {{"PENSTOCK_ZYGOTE", "1"}}).ok());
}

TEST(ZygoteVariables, AreTheNodesButForWhatTheKeyFixes) {
  const auto key =
      KeyOf(kPython, {{"PYTHONPATH", "/w:/p"}, {"OMP_NUM_THREADS", "4"}, {"A", "mine"}});
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(ZygoteVariables({{"PYTHONPATH", "/p"}, {"LC_ALL", "C"}, {"A", "node's"}}, *key),
            (Variables{{"PYTHONPATH", "/w:/p"}, {"A", "node's"}}));
}

}  // namespace
}  // namespace penstock::engine::local
