;; Lua's error handling on WebAssembly's exceptions.
;;
;; The C compiler leaves setjmp and longjmp to two imports: `invoke_vii` calls a function that may be left
;; by longjmp, `_emscripten_throw_longjmp` leaves it. A protected call need not cross the border of WebAssembly for that.
;; An error does: an exception that JavaScript throws costs half of one of WebAssembly, for which V8 makes an object with a
;; stack trace. Only Lua's own exception is caught: a trap, an overflow of the machine's stack or an exception of the host
;; passes through all of Lua's frames.
(module
  (import "lua" "memory" (memory 1))
  (import "lua" "__indirect_function_table" (table 512 funcref))
  (import "lua" "stackSave" (func $stackSave (result i32)))
  (import "lua" "stackRestore" (func $stackRestore (param i32)))
  (import "lua" "setThrew" (func $setThrew (param i32 i32)))
  (import "host" "hostLongjmp" (func $longjmp))
  ;; The exception that is on its way is Lua's.
  (global $isLongjmp (mut i32) (i32.const 0))

  (func (export "_emscripten_throw_longjmp")
    (global.set $isLongjmp (i32.const 1))
    (call $longjmp)
    (unreachable))

  (func (export "invoke_vii") (param $function i32) (param $first i32) (param $second i32)
    (local $stack i32)
    (local.set $stack (call $stackSave))
    (try $protected
      (do (call_indirect (param i32 i32) (local.get $first) (local.get $second) (local.get $function)))
      (catch_all
        (if (i32.eqz (global.get $isLongjmp)) (then (rethrow $protected)))
        (global.set $isLongjmp (i32.const 0))
        (call $stackRestore (local.get $stack))
        (call $setThrew (i32.const 1) (i32.const 0)))))

  (func (export "emscripten_memcpy_js") (param $to i32) (param $from i32) (param $count i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $count)))
)
