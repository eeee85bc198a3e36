#include "config/fields.h"

#include <charconv>
#include <cmath>
#include <optional>

namespace penstock::config {
namespace {

// The number that a value stands for, if it is one. Text is parsed whole, with spaces around it.
std::optional<double> AsNumber(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  std::string_view text = value.get_ref<const std::string&>();
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::string Text(double bound) {
  return bound == std::trunc(bound) ? std::to_string(static_cast<std::int64_t>(bound))
                                    : Json(bound).dump();
}

Status CheckRange(std::string_view field, const Json& value, double number, const Range& range) {
  if (range.above_least ? !(number > range.least) : !(number >= range.least)) {
    return FieldError(field,
                      (range.above_least ? "Input should be greater than "
                                         : "Input should be greater than or equal to ") +
                          Text(range.least),
                      value);
  }
  if (!(number <= range.most)) {
    return FieldError(field, "Input should be less than or equal to " + Text(range.most), value);
  }
  return {};
}

}  // namespace

std::string PythonRepr(const Json& value) {
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_string()) return "'" + value.get<std::string>() + "'";
  std::string text;
  if (value.is_array()) {
    for (const Json& item : value) text += (text.empty() ? "" : ", ") + PythonRepr(item);
    return "[" + text + "]";
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      text += (text.empty() ? "'" : ", '") + key + "': " + PythonRepr(item);
    }
    return "{" + text + "}";
  }
  return value.dump();
}

std::string PythonType(const Json& value) {
  const char* name = "float";
  if (value.is_null()) name = "NoneType";
  if (value.is_boolean()) name = "bool";
  if (value.is_string()) name = "str";
  if (value.is_array()) name = "list";
  if (value.is_object()) name = "dict";
  if (value.is_number_integer()) name = "int";
  return std::string("<class '") + name + "'>";
}

Status FieldError(std::string_view field, std::string_view what, const Json& value) {
  return InvalidArgument(std::string(field) + ": " + std::string(what) + ", got " +
                         PythonRepr(value));
}

Result<std::int64_t> WholeField(std::string_view field, const Json& value, const Range& range) {
  const auto number = AsNumber(value);
  if (!number) {
    return FieldError(field,
                      value.is_string() ? "Input should be a valid integer, unable to parse string "
                                          "as an integer"
                                        : "Input should be a valid integer",
                      value);
  }
  if (*number != std::trunc(*number) || std::abs(*number) > 9e15) {
    return FieldError(field, "Input should be a valid integer, got a number with a fractional part",
                      value);
  }
  if (Status bad = CheckRange(field, value, *number, range); !bad.ok()) return bad;
  return static_cast<std::int64_t>(*number);
}

Result<double> NumberField(std::string_view field, const Json& value, const Range& range) {
  const auto number = AsNumber(value);
  if (!number) {
    return FieldError(field,
                      value.is_string() ? "Input should be a valid number, unable to parse string "
                                          "as a number"
                                        : "Input should be a valid number",
                      value);
  }
  if (!std::isfinite(*number)) {
    return FieldError(field, "Input should be a finite number", value);
  }
  if (Status bad = CheckRange(field, value, *number, range); !bad.ok()) return bad;
  return *number;
}

Result<std::string> TextField(std::string_view field, const Json& value) {
  if (!value.is_string()) return FieldError(field, "Input should be a valid string", value);
  return value.get<std::string>();
}

bool Has(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

}  // namespace penstock::config
