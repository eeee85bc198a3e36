// Flat binary fields: what the metadata of a frame is made of.
//
// Fixed-size integers little-endian, strings as a 32-bit length and their bytes. There is no
// schema and no optional field: writer and reader list the same fields in the same order, and
// the hello frame's version says that they agree.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace penstock::base {

// Appends fields to a string that the caller owns.
class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  // Any integer type; the reader must ask for the same one.
  template <class T>
  void Put(T value) {
    static_assert(std::is_integral_v<T>);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_.append(bytes, sizeof value);
  }

  // At most 4 GiB.
  void PutString(std::string_view text) {
    Put(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }

 private:
  std::string& out_;
};

// Reads fields from bytes that the caller keeps alive. Reading past the end yields zeros and
// empty strings and turns ok() false for good, so that one check at the end is enough.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  T Get() {
    static_assert(std::is_integral_v<T>);
    T value{};
    if (rest_.size() < sizeof value) return Fail(), value;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }

  // Borrowed from the input.
  std::string_view GetString() {
    const auto size = Get<std::uint32_t>();
    if (rest_.size() < size) return Fail(), std::string_view();
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }

  // False when a field was missing.
  bool ok() const { return ok_; }

  // What has not been read.
  std::string_view rest() const { return rest_; }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace penstock::base
