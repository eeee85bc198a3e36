#include "resources/labels.h"

#include <algorithm>
#include <optional>

namespace penstock::resources {
namespace {

constexpr std::size_t kNameLimit = 63;
constexpr std::size_t kPrefixLimit = 253;
constexpr std::string_view kForm =
    "63 chars or less beginning and ending with an alphanumeric character ([a-z0-9A-Z]) with "
    "dashes (-), underscores (_),dots (.), and alphanumerics between.";

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kNameLimit) return false;
  if (!IsAlnum(name.front()) || !IsAlnum(name.back())) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

// Dot-separated parts of lower-case letters, digits and inner dashes, as in a DNS name.
bool IsPrefix(std::string_view prefix) {
  if (prefix.empty() || prefix.size() > kPrefixLimit) return false;
  const auto edge = [](char c) { return IsAlnum(c) && !(c >= 'A' && c <= 'Z'); };
  if (!edge(prefix.front()) || !edge(prefix.back())) return false;
  return std::all_of(prefix.begin(), prefix.end(),
                     [&](char c) { return edge(c) || c == '-' || c == '.'; });
}

Status CheckKey(std::string_view key) {
  const auto slash = key.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? key : key.substr(slash + 1);
  if (slash != std::string_view::npos && !IsPrefix(key.substr(0, slash))) {
    return InvalidArgument("Invalid label key prefix `" + std::string(key.substr(0, slash)) +
                           "`. Prefix must be a series of DNS labels separated by dots (.), not "
                           "longer than 253 characters in total.");
  }
  if (!IsName(name)) {
    return InvalidArgument("Invalid label key name `" + std::string(name) + "`. Name must be " +
                           std::string(kForm));
  }
  return {};
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> parts;
  while (true) {
    const auto comma = list.find(',');
    parts.emplace_back(Trim(list.substr(0, comma)));
    if (comma == std::string_view::npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

// nullopt when the text has none of the four forms.
std::optional<LabelSelector::Term> ParseTerm(const std::string& key, const std::string& text) {
  LabelSelector::Term term{.key = key, .text = text};
  std::string_view rest = text;
  if (!rest.empty() && rest.front() == '!') {
    term.negated = true;
    rest.remove_prefix(1);
  }
  if (rest.starts_with("in(")) {
    if (!rest.ends_with(')')) return std::nullopt;
    term.values = Split(rest.substr(3, rest.size() - 4));
  } else {
    term.values = {std::string(rest)};
  }
  const bool one = !rest.starts_with("in(");
  const bool valid = std::all_of(term.values.begin(), term.values.end(), [&](const auto& value) {
    return IsName(value) || (one && value.empty());
  });
  return valid ? std::optional(term) : std::nullopt;
}

}  // namespace

Status CheckNodeLabels(const Labels& labels) {
  for (const auto& [key, value] : labels) {
    if (!key.starts_with("ray.io/")) continue;
    return InvalidArgument("Custom label keys `" + key +
                           "` cannot start with the prefix `ray.io/`. This is reserved.");
  }
  return CheckLabels(labels);
}

Status CheckLabels(const Labels& labels) {
  for (const auto& [key, value] : labels) {
    if (Status bad = CheckKey(key); !bad.ok()) return bad;
    if (!value.empty() && !IsName(value)) {
      return InvalidArgument("Invalid label key value `" + value + "`. Value must be " +
                             std::string(kForm));
    }
  }
  return {};
}

Result<LabelSelector> LabelSelector::Parse(const std::map<std::string, std::string>& wanted) {
  LabelSelector selector;
  for (const auto& [key, text] : wanted) {
    if (Status bad = CheckKey(key); !bad.ok()) return bad;
    auto term = ParseTerm(key, text);
    if (!term) {
      return InvalidArgument("Invalid label selector value `" + text +
                             "`. The label selector value should contain optional operators and a "
                             "label value. Supported operators are: ! and {'in'}. Value must be " +
                             std::string(kForm));
    }
    selector.terms_.push_back(*std::move(term));
  }
  return selector;
}

const LabelSelector::Term* LabelSelector::FirstMismatch(const Labels& labels) const {
  for (const Term& term : terms_) {
    const auto found = labels.find(term.key);
    const bool among = found != labels.end() && std::find(term.values.begin(), term.values.end(),
                                                          found->second) != term.values.end();
    if (among == term.negated) return &term;
  }
  return nullptr;
}

}  // namespace penstock::resources
