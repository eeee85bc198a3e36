#include "base/metric_source.h"

#include <memory>
#include <optional>
#include <utility>

namespace penstock::base {
namespace {

// Questions under way.
struct Gathering {
  std::vector<std::optional<Message>> answers;
  std::size_t open = 0;
  std::function<void(std::vector<Message>)> done;  // empty once it was called
  Loop::TimerId timer = 0;

  void Finish() {
    std::vector<Message> came;
    for (auto& answer : answers) {
      if (answer) came.push_back(*std::move(answer));
    }
    std::exchange(done, nullptr)(std::move(came));
  }
};

}  // namespace

Message OneSource(const std::string& component, const std::string& worker,
                  const std::vector<MetricFamily>& families) {
  const Json source = {
      {"component", component}, {"worker", worker}, {"families", ToJson(families)}};
  return {{{"sources", Json::array({source})}}, ""};
}

Result<std::vector<MetricSource>> MetricSourcesFrom(const Json& answer) {
  std::vector<MetricSource> sources;
  try {  // the library reports a missing or mistyped field by throwing
    for (const Json& entry : answer.at("sources").get_ref<const Json::array_t&>()) {
      auto families = MetricsFromJson(entry.at("families"));
      if (!families.ok()) return families.status();
      sources.push_back({.component = entry.at("component"),
                         .worker = entry.at("worker"),
                         .families = *std::move(families)});
    }
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("metrics: ") + error.what());
  }
  return sources;
}

void Gather(Loop& loop, const std::vector<Question>& questions, Duration patience,
            std::function<void(std::vector<Message>)> done) {
  if (questions.empty()) return done({});
  auto gathering = std::make_shared<Gathering>();
  gathering->answers.resize(questions.size());
  gathering->open = questions.size();
  gathering->done = std::move(done);
  gathering->timer = loop.After(patience, [gathering] { gathering->Finish(); });
  for (std::size_t i = 0; i < questions.size(); ++i) {
    questions[i]([gathering, &loop, i](Result<Message> answer) {
      if (!gathering->done) return;  // too late
      if (answer.ok()) gathering->answers[i] = *std::move(answer);
      if (--gathering->open > 0) return;
      loop.Cancel(gathering->timer);
      gathering->Finish();
    });
  }
}

}  // namespace penstock::base
