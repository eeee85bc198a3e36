// A file of lines, written in blocks: what many requests have to say costs one system call.
//
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/loop.h"

namespace penstock::base {

struct BlockLogOptions {
  std::string path;  // "" for none
  // The path is where this process's standard output and error go: a rotation takes them along.
  bool is_output = false;
  // As Ray rotates: 512 MiB, five files.
  std::uint64_t rotate_bytes = std::uint64_t{512} << 20;
  int rotate_files = 5;

  friend bool operator==(const BlockLogOptions&, const BlockLogOptions&) = default;
};

class BlockLog {
 public:
  explicit BlockLog(Loop& loop) : loop_(loop) {}
  ~BlockLog();

  BlockLog(const BlockLog&) = delete;
  BlockLog& operator=(const BlockLog&) = delete;

  // Appends to another file from now on. kInternal when it cannot be opened; then there is none.
  Status Open(const BlockLogOptions& options);

  bool open() const { return static_cast<bool>(file_); }

  // Where the caller puts its next line, whole and with its end; then Written().
  std::string& buffer() { return buffer_; }

  // A line was put there. It reaches the file within a tenth of a second.
  void Written();

  // Writes out what is buffered.
  void Flush();

  // Begins a new file if this one, to which others may write too, has grown too large.
  void RotateIfLarge();

 private:
  void Rotate();

  Loop& loop_;
  BlockLogOptions options_;
  UniqueFd file_;
  std::string buffer_;
  Loop::TimerId timer_ = 0;
};

}  // namespace penstock::base
