#include "sampler.h"

#include <signal.h>

#include <string>
#include <utility>

namespace penstock::python {

Sampler::Sampler(base::ProgressPage& page, nb::object describe)
    : page_(page), describe_(std::move(describe)) {
  // Signals are the main thread's: they interrupt what it waits for.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Sampler::~Sampler() {
  page_.StopWaiting();
  const ReleasedGil released;
  thread_.join();
}

void Sampler::Run() {
  while (page_.WaitUntilAsked()) {
    std::string text;
    WithGil([&] { text = nb::cast<std::string>(describe_.get()()); });
    page_.Explain(text);
  }
}

}  // namespace penstock::python
