"""Does this change stay above its pass threshold, judged one verdict per test, and what stops it if not?"""
