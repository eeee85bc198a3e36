// What arrived, second by second: rates over the last minutes, and the shape of yesterday.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace penstock::autoscale {

class RateHistory {
 public:
  static constexpr int kSeconds = 600;  // how far back a rate may look

  // One second has passed in which so many requests arrived.
  void Add(double arrivals);

  // Requests per second over the last `window` seconds, or over as many as there are.
  double Rate(int window) const { return Between(window, 0); }

  // The same from `from` to `to` seconds ago. Pre: kSeconds >= from > to >= 0.
  double Between(int from, int to) const;

  // Requests that arrived up to `ago` seconds ago, of all that ever did. Pre: ago <= kSeconds.
  double Arrived(int ago) const;

  // Yesterday's rate `ahead` seconds after this time of day over that at this time of day, between
  // a third and three; absent until there is a yesterday.
  std::optional<double> DayShape(int ahead) const;

  // Mean rate over about twelve hours.
  double LongMean() const { return weight_ > 0 ? sum_ / weight_ : 0; }

  std::int64_t seconds() const { return seconds_; }

 private:
  static constexpr int kMinutes = 24 * 60 + 70;
  double MinuteRate(std::int64_t around) const;

  std::array<double, kSeconds + 1> recent_{};  // running total at each of the last seconds
  std::array<double, kMinutes> minutes_{};     // running total at each of the last minutes
  std::int64_t seconds_ = 0;
  double total_ = 0;
  double sum_ = 0;  // of arrivals, and of seconds, both fading
  double weight_ = 0;
};

}  // namespace penstock::autoscale
