/* The C twins of the four modules: the same algorithms, as one writes them in C. */

int fibonacci(void)
{
    int current = 0, next = 1;
    for (int step = 0; step < 20; step++) {
        int sum = current + next;
        current = next;
        next = sum;
    }
    return current;
}

int sum(void)
{
    int sum = 0;
    for (int number = 1; number <= 100; number++)
        sum += number;
    return sum;
}

int compute(void)
{
    int sum = 0;
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < 100; j++)
            sum += (i * j) % 1000;
    return sum;
}

static int is_prime(int number)
{
    for (int divisor = 3; divisor * divisor <= number; divisor += 2)
        if (number % divisor == 0)
            return 0;
    return 1;
}

int primes(void)
{
    int count = 1; /* 2 */
    for (int number = 3; number < 1000; number += 2)
        count += is_prime(number);
    return count;
}
