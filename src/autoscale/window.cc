#include "autoscale/window.h"

#include <algorithm>

namespace penstock::autoscale {
namespace {

TimePoint Rounded(TimePoint at) {
  const auto half = kSampleStep / 2;
  const auto since = at.time_since_epoch() + half;
  return TimePoint(since - since % kSampleStep);
}

}  // namespace

void LoadWindow::Add(const std::string& series, TimePoint at, double value) {
  std::vector<Sample>& samples = series_[series];
  const TimePoint when = Rounded(at);
  if (!samples.empty() && samples.back().at == when) {
    samples.back().value = value;
  } else {
    samples.push_back({when, value});
  }
}

void LoadWindow::Drop(const std::string& series) { series_.erase(series); }

void LoadWindow::Trim(TimePoint now, Duration look_back) {
  for (auto& [name, samples] : series_) {
    const auto keep = std::find_if(samples.begin(), samples.end(), [&](const Sample& sample) {
      return sample.at >= now - look_back;
    });
    samples.erase(samples.begin(), keep == samples.end() ? samples.end() - 1 : keep);
  }
}

std::vector<LoadWindow::Step> LoadWindow::Merge() const {
  std::map<TimePoint, double> changes;
  for (const auto& [name, samples] : series_) {
    double before = 0;
    for (const Sample& sample : samples) {
      changes[sample.at] += sample.value - before;
      before = sample.value;
    }
  }
  std::vector<Step> steps;
  double sum = 0;
  for (const auto& [at, change] : changes) {
    sum += change;
    steps.push_back({at, sum});
  }
  return steps;
}

// With several series the window starts when all of them had begun, so that a series that
// joined late does not count as zero before; never before the first sample or after the last.
TimePoint LoadWindow::WindowStart(const std::vector<Step>& steps) const {
  TimePoint start = steps.front().at;
  if (series_.size() < 2) return start;
  TimePoint all_begun = start;
  for (const auto& [name, samples] : series_) all_begun = std::max(all_begun, samples.front().at);
  return all_begun <= steps.back().at ? all_begun : start;
}

double LoadWindow::Total(TimePoint now, AutoscalingSpec::Aggregation aggregation) const {
  const std::vector<Step> steps = Merge();
  if (steps.empty()) return 0;
  const TimePoint start = WindowStart(steps);
  double area = 0;
  double most = 0;
  double least = 0;
  bool any = false;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const TimePoint from = std::max(steps[i].at, start);
    const TimePoint to = i + 1 < steps.size() ? steps[i + 1].at : std::max(now, from);
    if (to > from) area += steps[i].sum * ToSeconds(to - from);
    if (steps[i].at < start) continue;
    most = any ? std::max(most, steps[i].sum) : steps[i].sum;
    least = any ? std::min(least, steps[i].sum) : steps[i].sum;
    any = true;
  }
  if (aggregation == AutoscalingSpec::Aggregation::kMax) return most;
  if (aggregation == AutoscalingSpec::Aggregation::kMin) return least;
  // A window without width has one value, its last.
  return now > start ? area / ToSeconds(now - start) : steps.back().sum;
}

double LoadWindow::Latest() const {
  double sum = 0;
  for (const auto& [name, samples] : series_) sum += samples.back().value;
  return sum;
}

}  // namespace penstock::autoscale
