{
  "targets": [
    {
      "target_name": "sunstar_native",
      "sources": [
        "src/addon.cc",
        "src/arena.cc",
        "src/bytes.cc",
        "src/checksum.cc",
        "src/cpu.cc",
        "src/descriptors.cc",
        "src/emulated_file.cc",
        "src/emulated_pool.cc",
        "src/emulated_readiness.cc",
        "src/emulated_ring.cc",
        "src/emulated_socket.cc",
        "src/emulated_start.cc",
        "src/emulated_wait.cc",
        "src/file.cc",
        "src/kernel_ring.cc",
        "src/loop.cc",
        "src/monitor.cc",
        "src/ring.cc",
        "src/ring_binding.cc",
        "src/stack.cc",
        "src/stall.cc",
        "src/socket.cc",
        "src/socket_info.cc",
        "src/zerocopy.cc",
        "src/zerocopy_drain.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags": ["-Wall", "-Wextra", "-Wno-unused-parameter"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-O2", "-fno-exceptions"]
    }
  ]
}
