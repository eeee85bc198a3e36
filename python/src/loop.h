// The native event loop as Python sees it: on a thread of its own, or driven by asyncio.
//
// One that asyncio drives never gives up the interpreter's lock, so that the lock guards it: a
// thread that runs user code may answer a request at once. What it finds is a loop between two
// turns, or one whose turn has called Python, which might have answered that request just so.
#pragma once

#include <nanobind/nanobind.h>

#include <functional>
#include <memory>
#include <thread>

#include "base/loop.h"
#include "convert.h"

namespace penstock::python {

class PyLoop {
 public:
  // `own_thread`: runs by itself, without the GIL. Otherwise the thread that made it calls
  // RunOnce whenever fileno() is readable.
  explicit PyLoop(bool own_thread);
  ~PyLoop();

  PyLoop(const PyLoop&) = delete;
  PyLoop& operator=(const PyLoop&) = delete;

  // The loop below. Only on its thread, but for Post.
  base::Loop& native() { return *loop_; }

  // Runs `task` on the loop's thread: at once if this is it, else soon.
  void Run(std::function<void()> task);

  // Runs `task` on the loop's thread and waits for it, without the GIL.
  void RunAndWait(const std::function<void()>& task);

  // True on the thread that the loop belongs to.
  bool OnThread() const { return std::this_thread::get_id() == owner_; }

  // Ends the loop's thread, if it has one.
  void Close();

 private:
  std::unique_ptr<base::Loop> loop_;
  std::thread thread_;
  std::thread::id owner_;
};

void BindLoop(nb::module_& module);

}  // namespace penstock::python
