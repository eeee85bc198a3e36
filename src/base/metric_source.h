// Metrics on their way to whoever shows them: the answer to `metrics.collect`
// (docs/design/metrics.md).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/message.h"
#include "base/metrics.h"
#include "base/peer.h"
#include "penstock/status.h"

namespace penstock::base {

// A process, and what it has counted and measured.
struct MetricSource {
  std::string component;  // "proxy", "replica", "driver", "controller"
  std::string worker;     // which of them: no two that are alive have the same
  std::vector<MetricFamily> families;
};

// {"sources": [{"component", "worker", "families"}, ...]} with one source.
Message OneSource(const std::string& component, const std::string& worker,
                  const std::vector<MetricFamily>& families);

// kInvalidArgument for what is no such answer.
Result<std::vector<MetricSource>> MetricSourcesFrom(const Json& answer);

// A question to somebody; the function takes the answer.
using Question = std::function<void(Peer::OnReply)>;

// Asks all at once; `done` gets the answers that came, in the order of the questions, when all
// have or after `patience`. What fails or comes later is left out.
void Gather(Loop& loop, const std::vector<Question>& questions, Duration patience,
            std::function<void(std::vector<Message>)> done);

}  // namespace penstock::base
