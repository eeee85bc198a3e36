// A thread that says what the interpreter does when the agent asks: the loop cannot, when user
// code holds it up.
#pragma once

#include <nanobind/nanobind.h>

#include <thread>

#include "base/progress_page.h"
#include "convert.h"

namespace penstock::python {

class Sampler {
 public:
  // `describe()` returns text; it is called on the thread, which does nothing until it is asked.
  // `page` outlives the sampler.
  Sampler(base::ProgressPage& page, nb::object describe);
  // Pre: the GIL is held.
  ~Sampler();

  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

 private:
  void Run();

  base::ProgressPage& page_;
  PyRef describe_;
  std::thread thread_;
};

}  // namespace penstock::python
