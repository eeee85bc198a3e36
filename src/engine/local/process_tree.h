// Ending everything that a replica started: children, grandchildren, daemons.
//
// The leader's process group and session are found by number; what left both still carries the
// replica's mark in its environment. Whatever is found is killed, and the search repeated until
// it finds nothing: a process may fork while it is being looked for.
//
// Thread: the loop's. The process must be a child subreaper, so that orphans become its children.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"

namespace penstock::engine::local {

// Processes that belong to the tree of `leader`: in its group, its session, or with `mark`
// ("NAME=value") in their environment. The leader itself only while it lives.
std::vector<int> FindTree(int leader, const std::string& mark);

// Waits for this process's children that have ended and are in nobody's care, so that they do
// not stay as zombies. `cared_for` are those that somebody watches.
void ReapOrphans(const std::vector<int>& cared_for);

// Kills the children of this process and what then becomes its child, until it has none: the
// whole of what it started, because orphans of a subreaper's tree come to the subreaper. Waits
// for it. Leaves only what this user may not kill.
void EndDescendants();

// Kills a tree and calls `done` once nothing of it is left. Destroying it gives up.
class TreeKiller {
 public:
  TreeKiller(base::Loop& loop, int leader, std::string mark, std::function<void()> done);
  ~TreeKiller();

  TreeKiller(const TreeKiller&) = delete;
  TreeKiller& operator=(const TreeKiller&) = delete;

 private:
  class Watch;
  void Round();
  void OnGone();

  base::Loop& loop_;
  int leader_;
  std::string mark_;
  std::function<void()> done_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::size_t alive_ = 0;
  base::Loop::TimerId next_ = 0;
};

}  // namespace penstock::engine::local
