// Label selectors: what parses means what Ray's four forms mean.
#include "resources/labels.h"

#include "support/fuzz.h"

namespace penstock::resources {
namespace {

bool IsValue(const std::string& value) {
  return value.empty() || CheckNodeLabels({{"k", value}}).ok();
}

void CheckTerm(const LabelSelector::Term& term, const LabelSelector& selector) {
  PENSTOCK_CHECK(!term.values.empty());
  PENSTOCK_CHECK(term.negated == term.text.starts_with('!'));
  for (const std::string& value : term.values) {
    PENSTOCK_CHECK(IsValue(value));
    PENSTOCK_CHECK(term.text.find(value) != std::string::npos);
    const bool fits = selector.FirstMismatch({{term.key, value}}) == nullptr;
    PENSTOCK_CHECK(fits != term.negated);
  }
  // Too long for a label: no node has it.
  const bool other_fits = selector.FirstMismatch({{term.key, std::string(64, 'x')}}) == nullptr;
  PENSTOCK_CHECK(other_fits == term.negated);
  PENSTOCK_CHECK((selector.FirstMismatch({}) == nullptr) == term.negated);
}

}  // namespace
}  // namespace penstock::resources

PENSTOCK_FUZZ(input) {
  using namespace penstock::resources;
  const std::string key(input.Take(input.Byte() % 80));
  const std::string text(input.rest());
  const auto selector = LabelSelector::Parse({{key, text}});
  const bool labelled = CheckNodeLabels({{key, text}}).ok();
  if (!selector.ok()) {
    PENSTOCK_CHECK(selector.status().code() == penstock::Code::kInvalidArgument);
    PENSTOCK_CHECK(!labelled);  // whatever a node may carry can be asked for
    return;
  }
  PENSTOCK_CHECK(selector->terms().size() == 1);
  CheckTerm(selector->terms().front(), *selector);
  PENSTOCK_CHECK(*LabelSelector::Parse({{key, text}}) == *selector);
  PENSTOCK_CHECK(!labelled || selector->FirstMismatch({{key, text}}) == nullptr);
}
