#include "base/file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace penstock::base {

namespace fs = std::filesystem;

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Status(Code::kNotFound, "cannot read '" + path + "': " + std::strerror(errno));
  std::ostringstream content;
  content << in.rdbuf();
  return std::move(content).str();
}

std::string ReadTail(const std::string& path, std::size_t max_bytes) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const auto size = static_cast<std::size_t>(in.tellg());
  const std::size_t from = size > max_bytes ? size - max_bytes : 0;
  in.seekg(static_cast<std::streamoff>(from));
  std::string tail(size - from, '\0');
  in.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  tail.resize(static_cast<std::size_t>(in.gcount()));
  if (from > 0) tail.erase(0, tail.find('\n') + 1);
  return tail;
}

Status WriteFileAtomic(const std::string& path, std::string_view content) {
  const std::string beside = path + ".tmp" + std::to_string(::getpid());
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    out.flush();
    if (!out) return Internal("cannot write '" + beside + "': " + std::strerror(errno));
  }
  std::error_code error;
  fs::rename(beside, path, error);
  if (error) return Internal("cannot write '" + path + "': " + error.message());
  return {};
}

Result<UniqueFd> MemoryFile(std::string_view content) {
  UniqueFd fd(::memfd_create("penstock", MFD_CLOEXEC));
  while (fd && !content.empty()) {
    const ssize_t n = ::write(fd.get(), content.data(), content.size());
    if (n < 0 && errno != EINTR) fd.Reset();
    if (n > 0) content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (!fd) return Internal(std::string("cannot make a file in memory: ") + std::strerror(errno));
  return fd;
}

Status MakeDirs(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return {};
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty() && parent != path) {
    if (Status bad = MakeDirs(parent.string()); !bad.ok()) return bad;
  }
  // With its mode from the first moment; somebody else may have made it just now.
  const int why = ::mkdir(path.c_str(), S_IRWXU) == 0 ? 0 : errno;
  if (why == 0 || fs::is_directory(path, ignored)) return {};
  return Internal("cannot make folder '" + path + "': " + std::strerror(why));
}

void RemoveTree(const std::string& path) {
  std::error_code ignored;  // a file that another process just removed
  fs::remove_all(path, ignored);
}

std::vector<std::string> ListDir(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace penstock::base
