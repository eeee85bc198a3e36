// A message of the control protocol: a JSON value and, beside it, bytes that JSON carries badly.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock::base {

using Json = nlohmann::json;

// The whole number that a field holds. Another type throws, as all of the library's conversions
// do, and so does a number with a fraction: the library would cut it, and 1e30 is undefined.
template <class T>
T Whole(const Json& field) {
  return static_cast<T>(field.get_ref<const Json::number_integer_t&>());
}

struct Message {
  Json json;
  std::string blob;  // deployment code, logs; empty for most
};

// The payload of a kControl frame: u32 size of the JSON text, the text, the blob.
std::string EncodeMessage(const Message& message);

// kInvalidArgument when the payload is not one, or nests deeper than 500 levels.
Result<Message> DecodeMessage(std::string_view payload);

// The code's stable wire name, e.g. "invalid_argument".
const char* CodeName(Code code);

// The code whose CodeName is `name`; kInternal when there is none.
Code CodeFromName(std::string_view name);

}  // namespace penstock::base
