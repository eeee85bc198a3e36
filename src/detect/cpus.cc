#include "detect/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "detect/cgroup.h"

namespace penstock::detect {
namespace {

// "0-3,8" -> 5; nullopt for an empty list.
std::optional<int> CountCpuList(const std::string& list) {
  int count = 0;
  std::istringstream ranges(list);
  for (std::string range; std::getline(ranges, range, ',');) {
    int first = 0;
    int last = 0;
    char dash = 0;
    std::istringstream parts(range);
    if (!(parts >> first)) return std::nullopt;
    if (!(parts >> dash >> last)) last = first;
    count += last - first + 1;
  }
  return count > 0 ? std::optional(count) : std::nullopt;
}

std::optional<double> Ratio(const std::string& quota, const std::string& period) {
  double q = 0;
  double p = 0;
  if (!(std::istringstream(quota) >> q) || !(std::istringstream(period) >> p)) return std::nullopt;
  return q > 0 && p > 0 ? std::optional(q / p) : std::nullopt;
}

std::optional<double> QuotaV2(const std::string& folder) {
  const std::string line = FirstLine(folder + "/cpu.max");  // "max 100000" or "250000 100000"
  const auto space = line.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return Ratio(line.substr(0, space), line.substr(space + 1));
}

std::optional<double> QuotaV1(const std::string& folder) {
  return Ratio(FirstLine(folder + "/cpu.cfs_quota_us"), FirstLine(folder + "/cpu.cfs_period_us"));
}

// Keeps the least, and how it came about.
class Least {
 public:
  void Offer(const char* name, std::optional<double> value) {
    if (!value || (value_ && *value >= *value_ && !text_.empty())) return;
    value_ = value_ ? std::min(*value_, *value) : *value;
    std::ostringstream number;
    number << *value;
    text_ += (text_.empty() ? "" : ", ") + std::string(name) + " " + number.str();
  }
  double value() const { return value_.value_or(1); }
  const std::string& text() const { return text_; }

 private:
  std::optional<double> value_;
  std::string text_;
};

}  // namespace

int AffinityCpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  return ::sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
}

Cpus DetectCpus(const std::string& root, int affinity) {
  Least least;
  least.Offer("affinity", affinity);
  for (const std::string& folder : CgroupV2Folders(root)) {
    const auto cpus = CountCpuList(FirstLine(folder + "/cpuset.cpus.effective"));
    least.Offer("cpuset", cpus ? std::optional<double>(*cpus) : std::nullopt);
    least.Offer("quota", QuotaV2(folder));
  }
  for (const std::string& folder : CgroupV1Folders(root, "cpuset")) {
    const auto cpus = CountCpuList(FirstLine(folder + "/cpuset.cpus"));
    least.Offer("cpuset", cpus ? std::optional<double>(*cpus) : std::nullopt);
  }
  for (const std::string& folder : CgroupV1Folders(root, "cpu")) {
    least.Offer("quota", QuotaV1(folder));
  }
  Cpus cpus;
  cpus.count = std::max(1, static_cast<int>(std::floor(least.value())));
  cpus.derivation = least.text() + " -> " + std::to_string(cpus.count);
  return cpus;
}

}  // namespace penstock::detect
