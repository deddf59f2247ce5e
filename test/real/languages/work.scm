;; Futures on several threads, with a collector of its own; the same sum every time.
(use-modules (ice-9 threads))

(define size (string->number (cadr (command-line))))

(define (mix n)
  (let loop ((i 1) (x n) (sum 0))
    (if (> i 30000)
        sum
        (loop (+ i 1) (modulo (* x 16807) 2147483647) (+ sum (modulo x i))))))

(define results (par-map mix (iota (* size 300) 1)))

(call-with-output-file "result"
  (lambda (port)
    (display (apply + results) port)
    (newline port)
    (display "done" port)
    (newline port)))
