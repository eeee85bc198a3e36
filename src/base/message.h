// A message of the control protocol: a JSON value and, beside it, bytes that JSON carries badly.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock::base {

using Json = nlohmann::json;

struct Message {
  Json json;
  std::string blob;  // deployment code, logs; empty for most
};

// The payload of a kControl frame: u32 size of the JSON text, the text, the blob.
std::string EncodeMessage(const Message& message);

// kInvalidArgument when the payload is not one.
Result<Message> DecodeMessage(std::string_view payload);

// The code's stable wire name, e.g. "invalid_argument".
const char* CodeName(Code code);

// The code whose CodeName is `name`; kInternal when there is none.
Code CodeFromName(std::string_view name);

}  // namespace penstock::base
