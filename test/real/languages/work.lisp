;; A heap at a fixed address, collected again and again by signals and page protection; the same sum every time.
(defparameter *size* (parse-integer (second sb-ext:*posix-argv*)))

(defun mix (n)
  (let ((x n) (sum 0))
    (loop for i from 1 to 30000
          do (setf x (mod (* x 16807) 2147483647))
             (incf sum (mod x i)))
    sum))

(defvar *table* (make-hash-table :test 'equal))

(let ((sum 0))
  (loop for n from 1 to (* *size* 600)
        do (incf sum (mix n))
           (setf (gethash (format nil "~a" n) *table*) (make-array 1000))
           (when (zerop (mod n 100)) (gc)))
  (with-open-file (out "result" :direction :output)
    (format out "~a ~a~%done~%" sum (hash-table-count *table*))))
