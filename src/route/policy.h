// How a deployment chooses among its replicas: Serve's own routers, and what a custom one said.
// Pure: the same calls give the same answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/units.h"
#include "route/hash_ring.h"
#include "route/pick.h"

namespace penstock::route {

// What a custom router says of a request, as ids of replicas: the least loaded open one of the
// first group, else of the next one, and so on.
using Ranking = std::vector<std::vector<std::string>>;

// What a request wants of its replica.
struct Wish {
  std::string model;              // "" for none, and where no models are kept
  bool patient = false;           // waits a little for who has the model
  bool near = false;              // prefers replicas that are near
  std::uint64_t point = 0;        // its place on the ring: of its session, else any
  const Ranking* told = nullptr;  // of a custom router; nullptr before its answer
};

class Policy {
 public:
  // From now on chooses so, among `replicas`, in the order of candidates. `virtual_nodes` and
  // `fallbacks` are the consistent hash's.
  void Adopt(RequestRouterSpec::Kind kind, int virtual_nodes, int fallbacks,
             std::vector<std::string> replicas);

  // The place of the replica that a request goes to now; nullopt when it has to wait. `random` is
  // any 64 bits. Pre: `candidates` are those of the adopted replicas.
  std::optional<std::size_t> Choose(std::span<const Candidate> candidates, const Wish& wish,
                                    std::uint64_t random);

 private:
  std::optional<std::size_t> InTurn(std::span<const Candidate> candidates, const Wish& wish);
  std::optional<std::size_t> OnRing(std::span<const Candidate> candidates,
                                    std::uint64_t point) const;
  std::optional<std::size_t> AsTold(std::span<const Candidate> candidates,
                                    const Ranking& told) const;

  RequestRouterSpec::Kind kind_ = RequestRouterSpec::Kind::kPowerOfTwoChoices;
  std::vector<std::string> replicas_;
  std::map<std::string, std::size_t> places_;  // of replicas_
  std::map<std::string, std::size_t> turns_;   // who had the last one, by model; "" without
  int virtual_nodes_ = 0;
  std::size_t ranked_ = 0;  // on the ring: the first and its fallbacks
  HashRing ring_;
};

// How long after the `attempts`-th answer of a custom router (from 1) it is asked again about a
// request that nobody could take: at once after the first, then longer and longer.
Duration BackoffAfter(int attempts, double initial_s, double multiplier, double max_s);

}  // namespace penstock::route
