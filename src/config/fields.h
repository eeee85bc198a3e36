// Reading single JSON values as what an option wants them to be.
//
// Coercions are pydantic's lax ones, which Ray Serve users rely on: "3", 3.0 and true are whole
// numbers, "1.5" is a number. Errors carry pydantic's words, then the field and the value.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock::config {

using Json = nlohmann::json;

// A range of numbers. Bounds are inclusive unless said.
struct Range {
  double least = -std::numeric_limits<double>::infinity();
  bool above_least = false;  // exclusive lower bound
  double most = std::numeric_limits<double>::infinity();
};

// The value as Python would print it: 'text', None, True, 1.5, {'a': 1}.
std::string PythonRepr(const Json& value);

// The name of the Python type of a value, as in "<class 'str'>".
std::string PythonType(const Json& value);

// kInvalidArgument: "<field>: <what is wrong>, got <value>".
Status FieldError(std::string_view field, std::string_view what, const Json& value);

// A whole number within `range`.
Result<std::int64_t> WholeField(std::string_view field, const Json& value, const Range& range);

// A finite number within `range`.
Result<double> NumberField(std::string_view field, const Json& value, const Range& range);

// Text, nothing else.
Result<std::string> TextField(std::string_view field, const Json& value);

// True for an object field that is there and not null.
bool Has(const Json& object, const char* key);

}  // namespace penstock::config
