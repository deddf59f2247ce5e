-- Light threads on several real ones, timer signals, a terabyte of reserved addresses; the same sum every time.
import Control.Concurrent
import Control.Monad
import System.Environment

mix :: Int -> Int
mix n = go 1 n 0
  where
    go :: Int -> Int -> Int -> Int
    go i x total
      | i > 30000 = total
      | otherwise = let y = x * 16807 `mod` 2147483647 in go (i + 1) y (total + y `mod` i)

start :: Int -> Int -> IO (MVar Int)
start size k = do
  result <- newEmptyMVar
  _ <- forkIO $ do
    let total = sum (map mix [k * 100 .. k * 100 + size * 300])
    total `seq` putMVar result total
  return result

main :: IO ()
main = do
  [size] <- map read <$> getArgs
  results <- forM [1 .. 8] (start size)
  threadDelay 100000
  totals <- mapM takeMVar results
  writeFile "result" (show (sum totals) ++ "\ndone\n")
