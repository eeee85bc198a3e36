#include "resources/labels.h"

#include <gtest/gtest.h>

namespace penstock::resources {
namespace {

using Wanted = std::map<std::string, std::string>;

struct MatchCase {
  const char* value;  // selector value for key "zone"
  const char* label;  // the node's zone; nullptr when it has none
  bool matches;
};

class SelectorMatch : public testing::TestWithParam<MatchCase> {};

TEST_P(SelectorMatch, FollowsTheFourForms) {
  const auto& [value, label, matches] = GetParam();
  const auto selector = LabelSelector::Parse({{"zone", value}});
  ASSERT_TRUE(selector.ok()) << selector.status().message();
  const Labels labels = label == nullptr ? Labels{} : Labels{{"zone", label}};
  EXPECT_EQ(selector->FirstMismatch(labels) == nullptr, matches);
}

INSTANTIATE_TEST_SUITE_P(
    AsRay, SelectorMatch,
    testing::Values(MatchCase{"a", "a", true}, MatchCase{"a", "b", false},
                    MatchCase{"a", nullptr, false}, MatchCase{"!a", "b", true},
                    MatchCase{"!a", "a", false}, MatchCase{"!a", nullptr, true},
                    MatchCase{"in(a,b)", "b", true}, MatchCase{"in(a, b)", "b", true},
                    MatchCase{"in(a,b)", "c", false}, MatchCase{"in(a,b)", nullptr, false},
                    MatchCase{"!in(a,b)", "c", true}, MatchCase{"!in(a,b)", "a", false},
                    MatchCase{"!in(a,b)", nullptr, true}, MatchCase{"", "", true},
                    MatchCase{"", "x", false}, MatchCase{"", nullptr, false}));

TEST(LabelSelector, AllKeysMustMatchAndTheFirstThatDoesNotIsNamed) {
  const auto selector = LabelSelector::Parse({{"region", "us"}, {"tier", "!spot"}});
  EXPECT_EQ(selector->FirstMismatch({{"region", "us"}}), nullptr);
  EXPECT_EQ(selector->FirstMismatch({{"region", "us"}, {"tier", "spot"}})->key, "tier");
  EXPECT_EQ(selector->FirstMismatch({{"tier", "spot"}})->key, "region");
  EXPECT_EQ(selector->FirstMismatch({{"region", "us"}, {"tier", "spot"}})->text, "!spot");
}

TEST(LabelSelector, NoTermsMatchEverything) {
  EXPECT_EQ(LabelSelector().FirstMismatch({}), nullptr);
}

struct BadSelector {
  Wanted wanted;
  const char* message;
};

class BadSelectors : public testing::TestWithParam<BadSelector> {};

TEST_P(BadSelectors, AreRefusedWithRaysWords) {
  const auto selector = LabelSelector::Parse(GetParam().wanted);
  ASSERT_FALSE(selector.ok());
  EXPECT_EQ(selector.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(selector.status().message().find(GetParam().message), 0u)
      << selector.status().message();
}

INSTANTIATE_TEST_SUITE_P(
    AsRay, BadSelectors,
    testing::Values(BadSelector{{{"a b", "x"}}, "Invalid label key name `a b`. Name must be 63"},
                    BadSelector{{{"", "x"}}, "Invalid label key name ``"},
                    BadSelector{{{"-a", "x"}}, "Invalid label key name `-a`"},
                    BadSelector{{{std::string(64, 'a'), "x"}}, "Invalid label key name"},
                    BadSelector{{{"UP/a", "x"}}, "Invalid label key prefix `UP`"},
                    BadSelector{{{"a", "in(x"}}, "Invalid label selector value `in(x`"},
                    BadSelector{{{"a", "in()"}}, "Invalid label selector value `in()`"},
                    BadSelector{{{"a", "x y"}}, "Invalid label selector value `x y`"},
                    BadSelector{{{"a", "!!x"}}, "Invalid label selector value `!!x`"}));

TEST(NodeLabels, AcceptPrefixedKeysAndEmptyValues) {
  EXPECT_TRUE(CheckNodeLabels({{"example.com/rack", "r1"}, {"tier", ""}, {"a.b-c_d", "X.9"}}).ok());
}

TEST(NodeLabels, RefuseReservedAndMalformedOnes) {
  EXPECT_EQ(CheckNodeLabels({{"ray.io/zone", "a"}}).message(),
            "Custom label keys `ray.io/zone` cannot start with the prefix `ray.io/`. This is "
            "reserved.");
  EXPECT_FALSE(CheckNodeLabels({{"a", "b c"}}).ok());
  EXPECT_FALSE(CheckNodeLabels({{"a/", "b"}}).ok());
  EXPECT_FALSE(CheckNodeLabels({{std::string(254, 'p') + "/a", "b"}}).ok());
}

}  // namespace
}  // namespace penstock::resources
