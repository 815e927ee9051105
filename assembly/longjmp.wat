;; Lua's error handling on WebAssembly's exceptions.
;;
;; The C compiler leaves setjmp and longjmp to two imports: `invoke_vii` calls a function that may be left
;; by longjmp, `_emscripten_throw_longjmp` leaves it. Done in JavaScript, an error and a protected call would
;; cross the border of WebAssembly several times. Here neither does. Only Lua's own exception is caught: a trap,
;; an overflow of the machine's stack or an exception of the host passes through all of Lua's frames.
(module
  (import "lua" "memory" (memory 1))
  (import "lua" "__indirect_function_table" (table 512 funcref))
  (import "lua" "stackSave" (func $stackSave (result i32)))
  (import "lua" "stackRestore" (func $stackRestore (param i32)))
  (import "lua" "setThrew" (func $setThrew (param i32 i32)))
  (tag $longjmp)

  (func (export "_emscripten_throw_longjmp") (throw $longjmp))

  (func (export "invoke_vii") (param $function i32) (param $first i32) (param $second i32)
    (local $stack i32)
    (local.set $stack (call $stackSave))
    (try
      (do (call_indirect (param i32 i32) (local.get $first) (local.get $second) (local.get $function)))
      (catch $longjmp
        (call $stackRestore (local.get $stack))
        (call $setThrew (i32.const 1) (i32.const 0)))))

  (func (export "emscripten_memcpy_js") (param $to i32) (param $from i32) (param $count i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $count)))
)
