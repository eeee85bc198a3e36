// Node labels, and the selectors by which a replica asks for nodes that carry them.
//
// Syntax and meaning are Ray's (behaviour specification, section 3.7): a key is "[prefix/]name",
// a selector value is "v", "!v", "in(a,b)" or "!in(a,b)".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/status.h"

namespace penstock::resources {

using Labels = std::map<std::string, std::string, std::less<>>;

// Keys and values of a node's labels. kInvalidArgument with Ray's words for one of the wrong form.
Status CheckLabels(const Labels& labels);

// Labels that a user gives a node: not those with the reserved prefix "ray.io/" either.
Status CheckNodeLabels(const Labels& labels);

class LabelSelector {
 public:
  // One requirement on one key.
  struct Term {
    std::string key;
    std::string text;  // as the user wrote it, for messages
    bool negated = false;
    std::vector<std::string> values;  // any of them
    friend bool operator==(const Term&, const Term&) = default;
  };

  LabelSelector() = default;

  // `wanted` maps keys to selector values. kInvalidArgument with Ray's words.
  static Result<LabelSelector> Parse(const std::map<std::string, std::string>& wanted);

  // The first term, in order of its key, that `labels` does not satisfy; nullptr when all do.
  // A missing key satisfies a negated term and no other.
  const Term* FirstMismatch(const Labels& labels) const;

  // Terms in order of their keys; none: every node will do.
  const std::vector<Term>& terms() const { return terms_; }

  friend bool operator==(const LabelSelector&, const LabelSelector&) = default;

 private:
  std::vector<Term> terms_;
};

}  // namespace penstock::resources
