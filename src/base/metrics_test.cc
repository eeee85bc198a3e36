#include "base/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/metric_source.h"

namespace penstock::base {
namespace {

using Json = nlohmann::json;

std::vector<MetricFamily> Families() {
  Histogram histogram(LatencyBounds());
  for (const double value : {0.5, 1.0, 1.5, 1e9}) histogram.Observe(value);
  return {{.name = "c", .description = "d", .tag_keys = {"a"}, .samples = {{{"x"}, 3}}},
          {.name = "g", .kind = MetricKind::kGauge, .samples = {{{}, -1.5}}},
          {.name = "h",
           .kind = MetricKind::kHistogram,
           .bounds = {LatencyBounds().begin(), LatencyBounds().end()},
           .samples = {histogram.Sample({})}}};
}

TEST(Metrics, FamiliesSurviveTheTrip) {
  const auto read = MetricsFromJson(Json::parse(ToJson(Families()).dump()));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, Families());
}

TEST(Metrics, ABucketHoldsWhatIsNotAboveItsBound) {
  const auto sample = Families()[2].samples[0];
  EXPECT_EQ(sample.counts.front(), 2u);  // 0.5 and 1
  EXPECT_EQ(sample.counts[1], 1u);       // 1.5
  EXPECT_EQ(sample.counts.back(), 1u);   // beyond all bounds
  EXPECT_DOUBLE_EQ(sample.value, 0.5 + 1 + 1.5 + 1e9);
}

TEST(Metrics, WhatIsNotFiniteSurvivesToo) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const MetricFamily family{.name = "g",
                            .kind = MetricKind::kGauge,
                            .samples = {{{}, kInfinity}, {{}, -kInfinity}, {{}, std::nan("")}}};
  const auto read = MetricsFromJson(Json::parse(ToJson({family}).dump()));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->front().samples[0].value, kInfinity);
  EXPECT_EQ(read->front().samples[1].value, -kInfinity);
  EXPECT_TRUE(std::isnan(read->front().samples[2].value));
}

TEST(Metrics, WhatDoesNotFitIsRefusedByName) {
  const auto refusal = [](const std::function<void(Json&)>& spoil) {
    Json json = ToJson(Families());
    spoil(json);
    return MetricsFromJson(json).status().message();
  };
  EXPECT_EQ(refusal([](Json& j) { j[0]["kind"] = "timer"; }), "metrics: unknown kind \"timer\"");
  EXPECT_EQ(refusal([](Json& j) { j[0]["name"] = ""; }), "a metric without a name");
  EXPECT_EQ(refusal([](Json& j) {
              j[0]["tag_keys"] = {"a", "b"};
            }),
            "metric 'c': a series has other tags than its family");
  EXPECT_EQ(refusal([](Json& j) { j[2]["samples"][0][2].erase(0); }),
            "metric 'h': a series has other buckets than its family");
  EXPECT_EQ(refusal([](Json& j) { j[2]["bounds"][0] = 3; }), "metric 'h': bounds do not ascend");
  EXPECT_NE(refusal([](Json& j) { j[2]["samples"][0][2][0] = 1.5; }), "");
  EXPECT_NE(refusal([](Json& j) { j[2]["samples"][0][2][0] = -1; }), "");
  EXPECT_NE(refusal([](Json& j) { j[1]["samples"][0][1] = "many"; }), "");
  EXPECT_NE(refusal([](Json& j) { j[1].erase("bounds"); }), "");
  EXPECT_NE(refusal([](Json& j) { j = 3; }), "");
}

// ---- gathering ----

class GatherTest : public testing::Test {
 protected:
  // Somebody who answers when the test says so.
  Question Ask(const std::string& name) {
    return [this, name](Peer::OnReply done) { waiting_[name] = std::move(done); };
  }
  void Answer(const std::string& name) { waiting_.at(name)(Message{{{"from", name}}, ""}); }

  void Begin(Duration patience) {
    Gather(*loop_, {Ask("a"), Ask("b"), Ask("c")}, patience,
           [this](const std::vector<Message>& answers) {
             ++ends_;
             for (const Message& answer : answers) came_ += answer.json.at("from");
           });
  }

  std::unique_ptr<Loop> loop_ = *Loop::Create();
  std::map<std::string, Peer::OnReply> waiting_;
  std::string came_;
  int ends_ = 0;
};

TEST_F(GatherTest, EndsWithTheLastAnswer) {
  Begin(std::chrono::hours(1));
  Answer("c");
  waiting_.at("b")(Status(Code::kUnavailable, "gone"));
  EXPECT_EQ(ends_, 0);
  Answer("a");
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(came_, "ac");
}

TEST_F(GatherTest, DoesNotWaitForEver) {
  Begin(std::chrono::milliseconds(1));
  Answer("b");
  for (int i = 0; i < 1000 && ends_ == 0; ++i) loop_->RunOnce(std::chrono::milliseconds(20));
  EXPECT_EQ(came_, "b");
  Answer("a");  // too late
  EXPECT_EQ(ends_, 1);
}

TEST_F(GatherTest, NobodyToAskIsNoAnswer) {
  bool done = false;
  Gather(*loop_, {}, std::chrono::hours(1), [&](const auto& answers) { done = answers.empty(); });
  EXPECT_TRUE(done);
}

TEST(MetricSources, SurviveTheTrip) {
  const auto read = MetricSourcesFrom(OneSource("proxy", "w", Families()).json);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ(read->front().component, "proxy");
  EXPECT_EQ(read->front().worker, "w");
  EXPECT_EQ(read->front().families, Families());
  EXPECT_FALSE(MetricSourcesFrom(Json::object()).ok());
  EXPECT_FALSE(MetricSourcesFrom({{"sources", {{{"component", 1}}}}}).ok());
}

}  // namespace
}  // namespace penstock::base
