// What arrived at a deployment and what ended there, from what its routers report.
//
// Pure. Counts of routers only grow, so a report that is lost loses nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace penstock::control {

class Traffic {
 public:
  // What a router says: all that ever arrived there, and what it holds now.
  struct Report {
    std::uint64_t arrived = 0;
    double queued = 0;
    double running = 0;
  };

  // Of a router that was not known what it holds counts as new: of the rest nobody knows when it
  // came.
  void Note(const std::string& router, const Report& report);

  // The router is gone, and what it held with it.
  void Forget(const std::string& router);

  struct Sum {
    double arrivals = 0;   // since the last Take
    double completed = 0;  // since the last Take; never less than 0
    double queued = 0;     // now
    double running = 0;    // now
  };
  Sum Take();

  bool idle() const { return routers_.empty(); }

 private:
  std::map<std::string, Report> routers_;
  double arrivals_ = 0;
  double completed_ = 0;
};

}  // namespace penstock::control
