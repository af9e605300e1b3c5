#include "stall.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <string_view>
#include <vector>

#include "exports.h"
#include "ring.h"
#include "stack.h"

namespace sunstar::stall {

constexpr int kMaxFrames = 32;
constexpr size_t kMaxQueuedReports = 256;
// A stall that goes on is reported again, with the stack of then, after so many times as long.
constexpr int64_t kNextReportFactor = 8;
// JavaScript that runs reaches a safepoint within microseconds: after this it is in native code,
// unless it has not been given a CPU.
constexpr int64_t kSafepointNs = 10'000'000;

struct Report {
  const char* kind;
  int ring_fd;
  int32_t group;
  double elapsed_ms;
  double cpu_ms;
  std::vector<stack::Frame> frames;
};

// The monitor's question to a thread. The thread keeps its own share, because it may answer when
// nobody waits any more.
struct Request {
  enum State : int { kAsked, kAnswered, kOverdue };
  napi_env env;
  const int32_t* control;
  int ring_fd;
  int32_t turn;
  int64_t began_ns;
  int64_t asked_ns;
  int64_t asked_cpu_ns;
  double off_cpu_ms;
  int32_t group;
  std::atomic<int> state{kAsked};
  std::shared_ptr<std::atomic<bool>> alive;
};

namespace {

struct Listener {
  napi_env env;
  napi_threadsafe_function function;
};

struct Listeners {
  std::mutex mutex;
  std::vector<Listener> list;
};

// Never destroyed: exit() runs destructors while other threads may still look at it.
Listeners& listeners() {
  static Listeners* instance = new Listeners();
  return *instance;
}

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

double Ms(int64_t ns) { return static_cast<double>(ns) / 1e6; }

void Post(const Report& report) {
  Listeners& self = listeners();
  std::lock_guard lock(self.mutex);
  for (const Listener& listener : self.list) {
    auto* copy = new Report(report);
    // A listener whose thread is busy for so long has enough to read already.
    if (napi_call_threadsafe_function(listener.function, copy, napi_tsfn_nonblocking) != napi_ok) delete copy;
  }
}

// On the thread that stalls, in the middle of its JavaScript: nothing here may run any.
void OnInterrupt(void* isolate, void* data) {
  std::unique_ptr<std::shared_ptr<Request>> share(static_cast<std::shared_ptr<Request>*>(data));
  Request& request = **share;
  if (!request.alive->load()) return;
  if (__atomic_load_n(request.control + kControlTurn, __ATOMIC_RELAXED) != request.turn) return;
  const bool late = request.state.exchange(Request::kAnswered) == Request::kOverdue;
  const int64_t elapsed_ns = NowNs() - request.began_ns;
  Post({late ? "returned" : "running", request.ring_fd, request.group, Ms(elapsed_ns),
        Ms(elapsed_ns) - request.off_cpu_ms, stack::Current(request.env, isolate, kMaxFrames)});
}

}  // namespace

Detector::Detector(napi_env env, const int32_t* control, int ring_fd)
    : env_(env), control_(control), ring_fd_(ring_fd), isolate_(stack::CurrentIsolate()) {
  has_cpu_clock_ = pthread_getcpuclockid(pthread_self(), &cpu_clock_) == 0;
  status_path_ = "/proc/self/task/" + std::to_string(syscall(SYS_gettid)) + "/stat";
}

void Detector::Stop() { alive_->store(false); }

void Detector::Configure(int64_t threshold_ns, int32_t reports_per_minute) {
  threshold_ns_ = threshold_ns;
  reports_per_minute_ = reports_per_minute;
  tokens_ = reports_per_minute;
  configured_ns_ = refilled_ns_ = NowNs();
}

int64_t Detector::CpuNs() const {
  timespec used{};
  if (!has_cpu_clock_ || clock_gettime(cpu_clock_, &used) != 0) return -1;
  return used.tv_sec * int64_t{1'000'000'000} + used.tv_nsec;
}

// Whether the thread would run and reach a safepoint if only it were given a CPU.
bool Detector::IsStarved() const {
  if (!has_cpu_clock_ || CpuNs() - request_->asked_cpu_ns >= kSafepointNs / 2) return false;
  const int fd = open(status_path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[256];
  const ssize_t length = read(fd, text, sizeof text);
  close(fd);
  if (length <= 0) return false;
  // Number, name in parentheses (which may hold any character), state.
  const std::string_view status(text, static_cast<size_t>(length));
  const size_t end = status.rfind(')');
  return end != std::string_view::npos && end + 2 < status.size() && status[end + 2] == 'R';
}

bool Detector::TakeToken(int64_t now_ns) {
  const double per_ns = reports_per_minute_ / 60e9;
  tokens_ = std::min<double>(reports_per_minute_, tokens_ + per_ns * static_cast<double>(now_ns - refilled_ns_));
  refilled_ns_ = now_ns;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void Detector::SameTurn(int32_t turn, int64_t began_ns, int64_t now_ns) {
  if (threshold_ns_ == 0) return;
  if (!looking_) {
    looking_ = true;
    began_ns_ = std::max(began_ns, configured_ns_);
    first_look_ns_ = now_ns;
    first_look_cpu_ns_ = CpuNs();
    next_report_ns_ = began_ns_ + threshold_ns_;
  }
  if (request_ != nullptr && now_ns - request_->asked_ns >= kSafepointNs &&
      request_->state.load() == Request::kAsked && !IsStarved()) {
    int asked = Request::kAsked;
    if (request_->state.compare_exchange_strong(asked, Request::kOverdue)) {
      const double elapsed_ms = Ms(now_ns - began_ns_);
      Post({"native", ring_fd_, request_->group, elapsed_ms, elapsed_ms - request_->off_cpu_ms, {}});
    }
  }
  if (now_ns < next_report_ns_) return;
  stalled_ = true;
  next_report_ns_ = began_ns_ + (now_ns - began_ns_) * kNextReportFactor;
  // One that still waits for an answer will have the newer stack.
  if (request_ != nullptr && request_->state.load() != Request::kAnswered) return;
  if (TakeToken(now_ns)) Ask(turn, now_ns);
}

void Detector::Ask(int32_t turn, int64_t now_ns) {
  const int64_t cpu_ns = CpuNs();
  const int64_t off_cpu_ns =
      cpu_ns < 0 ? 0 : std::max<int64_t>(0, (now_ns - first_look_ns_) - (cpu_ns - first_look_cpu_ns_));
  request_ = std::make_shared<Request>();
  request_->env = env_;
  request_->control = control_;
  request_->ring_fd = ring_fd_;
  request_->turn = turn;
  request_->began_ns = began_ns_;
  request_->asked_ns = now_ns;
  request_->asked_cpu_ns = cpu_ns;
  request_->off_cpu_ms = Ms(off_cpu_ns);
  request_->group = control_[kControlGroup];
  request_->alive = alive_;
  if (isolate_ == nullptr) return;
  stack::RequestInterrupt(isolate_, OnInterrupt, new std::shared_ptr<Request>(request_));
}

void Detector::TurnEnded(int64_t ended_ns) {
  if (stalled_) {
    const double elapsed_ms = Ms(std::max<int64_t>(0, ended_ns - began_ns_));
    const int32_t group = request_ != nullptr ? request_->group : control_[kControlGroup];
    Post({"ended", ring_fd_, group, elapsed_ms, -1, {}});
  }
  looking_ = false;
  stalled_ = false;
  request_ = nullptr;
}

namespace {

// Every call fails in an environment that is being stopped, which is no reason to end the process.
class ObjectWriter {
 public:
  explicit ObjectWriter(napi_env env) : env_(env) { ok_ = napi_create_object(env, &object_) == napi_ok; }

  void Add(const char* name, napi_value value) {
    ok_ = ok_ && value != nullptr && napi_set_named_property(env_, object_, name, value) == napi_ok;
  }
  void Add(const char* name, double number) {
    napi_value value = nullptr;
    if (napi_create_double(env_, number, &value) != napi_ok) value = nullptr;
    Add(name, value);
  }
  void Add(const char* name, const std::string& text) {
    napi_value value = nullptr;
    if (napi_create_string_utf8(env_, text.data(), text.size(), &value) != napi_ok) value = nullptr;
    Add(name, value);
  }
  // nullptr when something failed.
  napi_value Finish() const { return ok_ ? object_ : nullptr; }

 private:
  napi_env env_;
  napi_value object_ = nullptr;
  bool ok_;
};

napi_value Describe(napi_env env, const Report& report) {
  ObjectWriter result(env);
  result.Add("kind", std::string(report.kind));
  result.Add("ringFd", report.ring_fd);
  result.Add("group", report.group);
  result.Add("elapsedMs", report.elapsed_ms);
  result.Add("cpuMs", report.cpu_ms);
  napi_value frames = nullptr;
  if (napi_create_array_with_length(env, report.frames.size(), &frames) != napi_ok) return nullptr;
  for (uint32_t i = 0; i < report.frames.size(); i++) {
    const stack::Frame& frame = report.frames[i];
    ObjectWriter entry(env);
    entry.Add("function", frame.function);
    entry.Add("file", frame.file);
    entry.Add("line", frame.line);
    entry.Add("column", frame.column);
    napi_value value = entry.Finish();
    if (value == nullptr || napi_set_element(env, frames, i, value) != napi_ok) return nullptr;
  }
  result.Add("frames", frames);
  return result.Finish();
}

void CallListener(napi_env env, napi_value listener, void*, void* data) {
  const std::unique_ptr<Report> report(static_cast<Report*>(data));
  // Without an environment the listener is being removed.
  if (env == nullptr || listener == nullptr) return;
  napi_value argument = Describe(env, *report);
  napi_value undefined = nullptr;
  if (argument == nullptr || napi_get_undefined(env, &undefined) != napi_ok) return;
  // What the listener throws is an uncaught exception like any other; Node sees to it.
  napi_call_function(env, undefined, listener, 1, &argument, nullptr);
}

void Forget(void* data) {
  auto* env = static_cast<napi_env>(data);
  Listeners& self = listeners();
  std::lock_guard lock(self.mutex);
  const auto found =
      std::find_if(self.list.begin(), self.list.end(), [env](const Listener& listener) { return listener.env == env; });
  if (found == self.list.end()) return;
  napi_release_threadsafe_function(found->function, napi_tsfn_abort);
  self.list.erase(found);
}

// onStall(listener): once for each environment; 0 or a negative error number
Napi::Value OnStall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  napi_threadsafe_function function = nullptr;
  const napi_status status = napi_create_threadsafe_function(
      env, info[0], nullptr, Napi::String::New(env, "sunstar:stall"), kMaxQueuedReports, 1, nullptr, nullptr, nullptr,
      CallListener, &function);
  if (status != napi_ok) return Napi::Number::New(env, -ENOMEM);
  napi_unref_threadsafe_function(env, function);
  {
    Listeners& self = listeners();
    std::lock_guard lock(self.mutex);
    self.list.push_back({env, function});
  }
  // After the function's own hook and so run before it: nobody calls a function that is gone.
  napi_add_env_cleanup_hook(env, Forget, static_cast<napi_env>(env));
  return Napi::Number::New(env, 0);
}

}  // namespace
}  // namespace sunstar::stall

namespace sunstar {

void ExportStall(Napi::Env env, Napi::Object exports) {
  exports["onStall"] = Napi::Function::New(env, stall::OnStall, "onStall");
  exports["canTakeStacks"] = Napi::Boolean::New(env, stack::Available());
}

}  // namespace sunstar
