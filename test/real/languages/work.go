// Goroutines, one of which must be interrupted to give way, channels, a pipe, children and signals, one of them at the end
// of the thread that made the child; the same every time.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func mix(n uint64) uint64 {
	sum := uint64(0)
	for i := uint64(1); i < 20000; i++ {
		n ^= n << 13
		n ^= n >> 7
		n ^= n << 17
		sum += n % i
	}
	return sum
}

func fill(n uint64) uint64 {
	table := map[uint64]string{}
	for k := uint64(0); k < 50; k++ {
		table[k*n] = fmt.Sprint(k)
	}
	if n%100 == 0 {
		time.Sleep(time.Millisecond)
	}
	return mix(n) + uint64(len(table))
}

func workers(count int, jobs uint64) chan uint64 {
	var all sync.WaitGroup
	in, out := make(chan uint64, 16), make(chan uint64, 16)
	for i := 0; i < count; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := range in {
				out <- fill(n)
			}
		}()
	}
	go func() {
		for n := uint64(1); n < jobs; n++ {
			in <- n
		}
		close(in)
		all.Wait()
		close(out)
	}()
	return out
}

func throughPipe() int {
	r, w, _ := os.Pipe()
	go func() {
		for i := 0; i < 100; i++ {
			time.Sleep(3 * time.Millisecond)
			fmt.Fprintf(w, "%8d", i)
		}
		w.Close()
	}()
	total, buffer := 0, make([]byte, 8)
	for {
		n, err := r.Read(buffer)
		if err != nil {
			return total
		}
		total += n
	}
}

// A goroutine that ends with its thread locked ends the thread.
func startGuarded(end chan bool) *exec.Cmd {
	child := exec.Command("sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- child.Start()
		<-end
	}()
	if err := <-started; err != nil {
		panic(err)
	}
	return child
}

func main() {
	size, _ := strconv.ParseUint(os.Args[1], 10, 64)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	end := make(chan bool)
	guarded := startGuarded(end)
	out := workers(50, size*5000)
	go func() {
		for x := uint64(1); ; {
			x = mix(x)
		}
	}()
	total := throughPipe()
	sum := uint64(0)
	for x := range out {
		sum += x
	}
	close(end)
	guardedErr := guarded.Wait()
	child, err := exec.Command("sh", "-c", "sleep 0.2; echo child").Output()
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	<-told
	text := fmt.Sprintf("%d %d %s %v %v\ndone\n", sum, total, child, err, guardedErr)
	os.WriteFile("result", []byte(text), 0644)
}
