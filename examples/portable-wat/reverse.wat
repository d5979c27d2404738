;; Writes its input backwards, and returns how many calls there were.
;;
;;     wat2wasm reverse.wat        (of wabt), or: wasm-tools parse reverse.wat -o reverse.wasm
(module
  (import "bareflow" "input_length" (func $input_length (result i32)))
  (import "bareflow" "input_read" (func $input_read (param $offset i32) (param $to i32) (param $length i32) (result i32)))
  (import "bareflow" "output_write" (func $output_write (param $from i32) (param $length i32) (result i32)))

  (memory (export "memory") 1 17)
  (global $calls (mut i32) (i32.const 0))

  ;; Called once before the first `run`; another result than 0 refuses the load.
  (func (export "init") (result i32)
    i32.const 0)

  (func (export "run") (result i32)
    (local $offset i32)
    (local.set $offset (call $input_length))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $offset)))
        (local.set $offset (i32.sub (local.get $offset) (i32.const 1)))
        (drop (call $input_read (local.get $offset) (i32.const 0) (i32.const 1)))
        ;; 0: the output is full.
        (br_if $next (call $output_write (i32.const 0) (i32.const 1)))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    global.get $calls))
