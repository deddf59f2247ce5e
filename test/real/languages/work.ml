(* A heap with a collector of its own; the same sum every time. *)
let mix n =
  let x = ref n and sum = ref 0 in
  for i = 1 to 30000 do
    x := !x * 16807 mod 2147483647;
    sum := !sum + (!x mod i)
  done;
  !sum

let () =
  let size = int_of_string Sys.argv.(1) in
  let table = Hashtbl.create 10 and sum = ref 0 in
  for n = 1 to size * 3000 do
    sum := !sum + mix n;
    Hashtbl.replace table (string_of_int (n mod 1000)) (Array.make 1000 n)
  done;
  let out = open_out "result" in
  Printf.fprintf out "%d %d\ndone\n" !sum (Hashtbl.length table);
  close_out out
