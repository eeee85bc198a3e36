// Files: whole reads, atomic writes, folders.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "penstock/status.h"

namespace penstock::base {

// The whole file. kNotFound when there is none.
Result<std::string> ReadFile(const std::string& path);

// The last `max_bytes` of a file, whole lines only; "" when there is none.
std::string ReadTail(const std::string& path, std::size_t max_bytes);

// Writes beside and renames, so that a reader sees the old content or the new, never a part.
Status WriteFileAtomic(const std::string& path, std::string_view content);

// A file without a name, in memory, that holds `content`: for another process to read. kInternal.
Result<UniqueFd> MemoryFile(std::string_view content);

// Like `mkdir -p`; every folder that it makes is the user's alone. kInternal when one cannot be
// made, or `path` is no folder.
Status MakeDirs(const std::string& path);

// Like `rm -rf`; what is not there is no error.
void RemoveTree(const std::string& path);

// Names in a folder, sorted, without "." and ".."; empty when there is none.
std::vector<std::string> ListDir(const std::string& path);

}  // namespace penstock::base
