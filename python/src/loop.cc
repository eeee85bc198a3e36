#include "loop.h"

#include <nanobind/stl/shared_ptr.h>

#include <future>
#include <utility>

namespace penstock::python {

PyLoop::PyLoop(bool own_thread) : loop_(Unwrap(base::Loop::Create())) {
  owner_ = std::this_thread::get_id();
  if (!own_thread) return;
  thread_ = std::thread([this] { loop_->Run(); });
  owner_ = thread_.get_id();
}

PyLoop::~PyLoop() { Close(); }

void PyLoop::Run(std::function<void()> task) {
  if (OnThread()) {
    task();
  } else {
    loop_->Post(std::move(task));
  }
}

void PyLoop::RunAndWait(const std::function<void()>& task) {
  if (OnThread()) return task();
  std::promise<void> done;
  const ReleasedGil released;
  loop_->Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

void PyLoop::Close() {
  if (!thread_.joinable()) return;
  const ReleasedGil released;
  loop_->Stop();
  thread_.join();
}

void BindLoop(nb::module_& module) {
  nb::class_<PyLoop>(module, "Loop", "The native event loop.")
      .def(nb::init<bool>(), nb::arg("own_thread"),
           "With `own_thread` it runs by itself; else the caller watches `fileno()` and calls "
           "`run_once()` when it is readable.")
      .def("fileno", [](PyLoop& self) { return self.native().fd(); })
      .def(
          "run_once", [](PyLoop& self) { self.native().RunOnce(Duration::zero()); },
          "Does what there is to do, without waiting.")
      .def(
          "set_outside_turn_hook",
          [](PyLoop& self, nb::object hook) {
            self.native().SetOutsideTurnHook([&self, hook = PyRef(std::move(hook))] {
              if (self.OnThread()) WithGil([&] { hook.get()(); });
            });
          },
          nb::arg("hook"),
          "Called when there is something to send outside `run_once()`, on the loop's thread: "
          "another one that made it so calls `flush()`.")
      .def(
          "flush", [](PyLoop& self) { self.native().Flush(); },
          "Sends what there is to send, unless a turn is under way that will. Any thread, of a "
          "loop that has none of its own.")
      .def("on_thread", &PyLoop::OnThread)
      .def(
          "post",
          [](PyLoop& self, nb::object task) {
            self.native().Post([task = PyRef(std::move(task))] { WithGil([&] { task.get()(); }); });
          },
          nb::arg("task"), "Runs `task()` on the loop's thread, soon. Any thread.")
      .def("close", &PyLoop::Close, "Ends the loop's thread, if it has one.");
}

}  // namespace penstock::python
